import type { Exit } from "../api/types";

/** Words for an exit code: its name and sentence, also for a screen reader. */
export function exitWords(exit: Exit): string {
  if (exit.exit_signal) {
    return `Killed by signal ${exit.exit_signal}.${exit.exit_sentence ? ` ${exit.exit_sentence}` : ""}`;
  }
  if (exit.exit_code === null || exit.exit_code === undefined) return "";
  const name = exit.exit_name ?? (exit.exit_code === 0 ? "OK" : "an exit code without a name");
  return `${exit.exit_code} ${name}${exit.exit_sentence ? `: ${exit.exit_sentence}` : ""}`;
}

/** An exit code; name and sentence on hover. */
export function ExitCode({ exit, long = false }: { exit: Exit; long?: boolean }) {
  const words = exitWords(exit);
  if (!words) return null;
  const short = exit.exit_signal ? `signal ${exit.exit_signal}` : String(exit.exit_code);
  if (exit.exit_code === 0 && !exit.exit_signal) return <span>{short}</span>;
  return (
    <span className="owl-help" title={words}>
      {short}
      {long && exit.exit_name ? ` ${exit.exit_name}` : ""}
    </span>
  );
}
