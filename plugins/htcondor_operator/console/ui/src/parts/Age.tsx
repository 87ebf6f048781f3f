import { useAge } from "../lib/clock";
import { stamp } from "../lib/time";

/** How long ago a time is; the time itself on hover. */
export function Age({ at }: { at: string | null | undefined }) {
  const words = useAge(at);
  if (!at) return null;
  return (
    <time dateTime={at} title={`${stamp(at)} UTC`}>
      {words}
    </time>
  );
}
