import { forwardRef, type ElementType } from "react";

// In place of the package react-remove-scroll, which Radix's dialogs and menus use: that one writes a style element into
// the page, which the console's policy of content forbids. base.css keeps what lies behind a dialog where it is.

interface Props {
  as?: ElementType;
  allowPinchZoom?: boolean;
  shards?: unknown;
  enabled?: boolean;
}

/** RemoveScroll shows its children. */
export const RemoveScroll = forwardRef<unknown, Props>(function RemoveScroll({ as: As = "div", allowPinchZoom: _a, shards: _s, enabled: _e, ...rest }, ref) {
  return <As ref={ref} {...rest} />;
});
