import { PageHead } from "../ui";

export default function List(_: { production: string; list: string }) {
  return <PageHead title="List" />;
}
