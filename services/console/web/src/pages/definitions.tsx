import { PageHead } from "../ui";

export default function Definitions(_: { name: string }) {
  return <PageHead title="Definitions" />;
}
