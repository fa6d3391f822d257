import { PageHead } from "../ui";

export default function Alerts(_: { id: string }) {
  return <PageHead title="Alerts" />;
}
