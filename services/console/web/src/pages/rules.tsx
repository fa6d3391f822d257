import { PageHead } from "../ui";

export default function Rules() {
  return <PageHead title="Rules" />;
}
