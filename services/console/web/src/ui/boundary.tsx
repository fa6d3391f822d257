import { Component, type ReactNode } from "react";
import { useLocation } from "wouter";
import { Button, Notice } from ".";

/** Boundary shows a sentence where a page broke, instead of nothing; what stands around the page goes on, and another page is tried anew. */
export function Boundary({ children }: { children: ReactNode }) {
  const [where] = useLocation();
  return <Caught where={where}>{children}</Caught>;
}

class Caught extends Component<{ where: string; children: ReactNode }, { broken?: Error }> {
  override state: { broken?: Error } = {};

  static getDerivedStateFromError = (broken: Error) => ({ broken });

  override componentDidUpdate(before: { where: string }) {
    if (this.state.broken && before.where !== this.props.where) this.setState({ broken: undefined });
  }

  override render() {
    if (!this.state.broken) return this.props.children;
    // A part of the console that could not be fetched is asked for again only by a page that is loaded anew.
    return (
      <Notice tone="bad" alert title="This page broke." actions={<Button size="small" onClick={() => location.reload()}>Try again</Button>}>
        That is a fault of the console, not of what it shows. It said: <code>{this.state.broken.message}</code>
      </Notice>
    );
  }
}
