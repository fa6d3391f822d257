import { PageHead } from "../ui";

export default function People(_: { production: string }) {
  return <PageHead title="People" />;
}
