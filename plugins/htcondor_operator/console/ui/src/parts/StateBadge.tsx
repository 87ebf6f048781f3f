import type { ReactNode } from "react";

import { paletteOf } from "../shell/styles";

interface Props {
  state: string | null | undefined;
  children?: ReactNode;
  title?: string;
}

/** A state as a word on its colour; the word alone says it, the colour only finds it faster. */
export function StateBadge({ state, children, title }: Props) {
  if (!state) return null;
  return (
    <span className={`owl-badge owl-badge-${paletteOf(state)}`} title={title}>
      {state.replaceAll("_", " ")}
      {children}
    </span>
  );
}
