import { PageHead } from "../ui";

export default function Search() {
  return <PageHead title="Search" />;
}
