/** A bar of parts: how much of a whole is done, failed, open. */

import { paletteOf } from "../shell/styles";
import { count } from "../lib/time";

interface Props {
  total: number;
  /** State and number; what is left of the whole stays empty. */
  parts: readonly (readonly [string, number])[];
  /** Of what the numbers are. */
  unit?: string;
}

/** The bar; its words are for hover and screen readers. */
export function StackBar({ total, parts, unit = "" }: Props) {
  const words = parts
    .filter(([, n]) => n > 0)
    .map(([state, n]) => `${count(n)} ${state}`)
    .join(", ");
  const whole = `${words || "nothing yet"}, of ${count(total)}${unit && ` ${unit}`}`;
  return (
    <div className="owl-bar" role="img" aria-label={whole} title={whole}>
      {parts.map(([state, n]) =>
        n > 0 ? (
          <div
            key={state}
            className={`owl-swatch-${paletteOf(state)}`}
            // A single failure among thousands is seen, too.
            style={{ width: `${(100 * n) / Math.max(1, total)}%`, minWidth: 3 }}
          />
        ) : null,
      )}
    </div>
  );
}
