import { PageHead } from "../ui";

export default function Workers() {
  return <PageHead title="Workers" />;
}
