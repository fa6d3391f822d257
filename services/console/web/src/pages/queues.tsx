import { PageHead } from "../ui";

export default function Queues() {
  return <PageHead title="Queues" />;
}
