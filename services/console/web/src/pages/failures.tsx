import { PageHead } from "../ui";

export default function Failures() {
  return <PageHead title="Failures" />;
}
