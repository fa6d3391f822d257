import { PageHead } from "../ui";

export default function DistributionPage(_: { production: string; distribution: string; tab: string }) {
  return <PageHead title="DistributionPage" />;
}
