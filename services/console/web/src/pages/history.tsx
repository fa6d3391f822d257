import { PageHead } from "../ui";

export default function History() {
  return <PageHead title="History" />;
}
