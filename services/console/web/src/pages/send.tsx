import { PageHead } from "../ui";

export default function Send(_: { production: string }) {
  return <PageHead title="Send" />;
}
