import { PageHead } from "../ui";

export default function Audit() {
  return <PageHead title="Audit" />;
}
