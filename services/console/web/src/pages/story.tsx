import { PageHead } from "../ui";

export default function StoryPage(_: { production: string; distribution: string; unit: string }) {
  return <PageHead title="StoryPage" />;
}
