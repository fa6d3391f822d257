import { PageHead } from "../ui";

export default function Settings(_: { production: string }) {
  return <PageHead title="Settings" />;
}
