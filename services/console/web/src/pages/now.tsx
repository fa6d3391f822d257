import { PageHead } from "../ui";

export default function Now() {
  return <PageHead title="Now" />;
}
