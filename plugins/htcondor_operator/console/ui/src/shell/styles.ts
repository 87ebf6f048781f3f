/**
 * Styles of what there is much of: table cells, badges, log lines.
 *
 * Chakra's components cost tens of microseconds each; a table of 500 rows has ten thousand cells.
 * These are plain elements with classes, coloured by the host's tokens, so light and dark follow.
 */

import type { SystemStyleObject } from "@chakra-ui/react";

/** The palette of a state. */
export const paletteOf = (state: string): string => STATE_PALETTE[state] ?? "gray";

/** A state's colour: one of the host's palettes. */
export const STATE_PALETTE: Record<string, string> = {
  done: "green",
  resolved: "green",
  joined: "green",
  left: "orange",
  running: "blue",
  claimed: "blue",
  starting: "cyan",
  launching: "cyan",
  submitted: "cyan",
  shoveled: "cyan",
  live: "blue",
  rescued: "purple",
  proposed: "purple",
  held: "orange",
  paused: "orange",
  stale: "orange",
  failed: "red",
  failing: "red",
  refused: "red",
  futile: "red",
  quarantined: "red",
  silent: "red",
  dead: "red",
  unknown: "yellow",
};

export const PALETTES = [...new Set([...Object.values(STATE_PALETTE), "gray"])];

const badges = Object.fromEntries(
  PALETTES.map((palette) => [
    `& .owl-badge-${palette}`,
    { color: `${palette}.fg`, bg: `${palette}.subtle` },
  ]),
);

const swatches = Object.fromEntries(
  PALETTES.map((palette) => [`& .owl-swatch-${palette}`, { bg: `${palette}.solid` }]),
);

/** For screen readers alone. */
export const HIDDEN = {
  position: "absolute",
  width: "1px",
  height: "1px",
  margin: "-1px",
  padding: 0,
  overflow: "hidden",
  clipPath: "inset(50%)",
  whiteSpace: "nowrap",
  borderWidth: 0,
} as const;

const mono = { fontFamily: "mono", fontVariantNumeric: "tabular-nums" };

export const sheet: SystemStyleObject = {
  "& .owl-badge": {
    display: "inline-flex",
    alignItems: "center",
    gap: "1",
    px: "1.5",
    borderRadius: "sm",
    fontSize: "xs",
    fontWeight: "medium",
    lineHeight: "1.25rem",
    whiteSpace: "nowrap",
  },
  ...badges,
  "& .owl-trouble": { display: "block", color: "fg.error", fontSize: "xs", lineHeight: "1.2", whiteSpace: "normal" },
  "& .owl-alarm": { color: "red.contrast", bg: "red.solid" },
  ...swatches,
  "& .owl-table": {
    borderCollapse: "separate",
    borderSpacing: 0,
    tableLayout: "fixed",
    width: "100%",
    fontSize: "sm",
  },
  "& .owl-table th": {
    position: "sticky",
    top: 0,
    zIndex: 1,
    bg: "bg.muted",
    textAlign: "start",
    fontWeight: "semibold",
    fontSize: "xs",
    px: "2",
    py: "1.5",
    borderBottomWidth: "1px",
    borderColor: "border.emphasized",
    whiteSpace: "nowrap",
    overflow: "hidden",
    textOverflow: "ellipsis",
  },
  "& .owl-table th button": { fontWeight: "semibold", cursor: "pointer", maxWidth: "100%" },
  "& .owl-table td": {
    px: "2",
    py: "0.5",
    height: "30px",
    borderBottomWidth: "1px",
    borderColor: "border.subtle",
    overflow: "hidden",
    textOverflow: "ellipsis",
    whiteSpace: "nowrap",
  },
  "& .owl-table td.owl-num, & .owl-table th.owl-num": {
    textAlign: "end",
    fontVariantNumeric: "tabular-nums",
  },
  "& .owl-table td.owl-mono": mono,
  "& .owl-table td.owl-tool, & .owl-table th.owl-tool": { px: "1", textAlign: "center" },
  // The controls stay in sight when the table is wider than the window.
  "& .owl-table .owl-pinned": { position: "sticky", right: 0, bg: "bg", px: "1", textAlign: "center" },
  "& .owl-table th.owl-pinned": { bg: "bg.muted", zIndex: 2 },
  // The lists: each row is a grid of its own, so that rows which are not in view can be left out.
  // The roles that `display` takes away are in the markup.
  "& .owl-scroll": { overflow: "auto", containerType: "inline-size", scrollPaddingTop: "32px" },
  // Rows that are drawn while one scrolls have their own place: the browser must not correct it.
  "& .owl-scroll[data-partly]": { overflowAnchor: "none" },
  "& .owl-rows, & .owl-rows > thead, & .owl-rows > tbody": { display: "block" },
  "& .owl-rows > thead": { position: "sticky", top: 0, zIndex: 2 },
  "& .owl-rows > thead > tr, & .owl-rows > tbody > .owl-row": {
    display: "grid",
    gridTemplateColumns: "var(--owl-columns)",
  },
  "& .owl-rows > tbody > .owl-gap": { display: "block" },
  "& .owl-rows > tbody > .owl-gone > td:not(.owl-pinned)": { opacity: 0.55 },
  "& .owl-rows > thead > tr > th": { position: "static", minWidth: 0 },
  "& .owl-rows > thead > tr > th.owl-pinned": { position: "sticky" },
  "& .owl-rows > tbody > .owl-row > td": { minWidth: 0, height: "auto", minHeight: "30px", lineHeight: "1.5rem" },
  "& .owl-rows > tbody > .owl-detail, & .owl-rows > tbody > .owl-detail > td": { display: "block" },
  // A block's height is what is said, not the least as for a cell.
  // What is expanded is as wide as the view, not as the table: nothing of it is far to the right.
  "& .owl-rows > tbody > .owl-detail > td": { height: "auto", overflow: "visible" },
  "& .owl-detail-view": { position: "sticky", left: "3", width: "calc(100cqw - 1.5rem)" },
  "& .owl-grid": { bg: "border" },
  "& .owl-hidden": HIDDEN,
  "& .owl-table td.owl-wrap": { whiteSpace: "normal", overflowWrap: "anywhere" },
  "& .owl-table tbody tr.owl-row:hover > td": { bg: "bg.subtle" },
  "& .owl-table tbody tr.owl-row[aria-selected=true] > td": { bg: "blue.subtle" },
  // Blue on light blue is too weak to read.
  "& .owl-table tbody tr.owl-row[aria-selected=true] a.owl-link": { color: "fg", textDecoration: "underline" },
  "& .owl-table tbody tr.owl-detail > td": { whiteSpace: "normal", bg: "bg.subtle", p: "3" },
  "& .owl-table input[type=checkbox]": { cursor: "pointer", verticalAlign: "middle" },
  "& .owl-icon-button": {
    display: "inline-flex",
    alignItems: "center",
    justifyContent: "center",
    minWidth: "6",
    height: "6",
    borderRadius: "sm",
    cursor: "pointer",
    color: "fg.muted",
  },
  "& .owl-icon-button:hover": { bg: "bg.emphasized", color: "fg" },
  "& a.owl-link": { color: "fg.info", textUnderlineOffset: "2px" },
  "& a.owl-link:hover": { textDecoration: "underline" },
  "& .owl-help": {
    textDecoration: "underline dotted",
    textUnderlineOffset: "3px",
    cursor: "help",
  },
  "& .owl-muted": { color: "fg.muted" },
  "& :is(a, button, input, select, [tabindex]):focus-visible": {
    outline: "2px solid",
    outlineColor: "blue.focusRing",
    outlineOffset: "1px",
  },
  "& .owl-bar": {
    display: "flex",
    height: "10px",
    borderRadius: "sm",
    overflow: "hidden",
    bg: "bg.emphasized",
  },
  "& td .owl-bar": { flex: "1", minWidth: "3rem" },
  "& .owl-barred": { display: "flex", alignItems: "center", gap: "2", height: "1.5rem", fontVariantNumeric: "tabular-nums" },
  "& .owl-node": {
    position: "absolute",
    display: "flex",
    flexDirection: "column",
    justifyContent: "center",
    alignItems: "center",
    borderWidth: "1px",
    borderColor: "border.emphasized",
    borderRadius: "md",
    bg: "bg.panel",
    fontSize: "xs",
    cursor: "pointer",
    overflow: "hidden",
  },
  "& .owl-node[aria-pressed=true]": { borderColor: "blue.solid", borderWidth: "2px" },
  // What runs now is found at once, also without colours: its border is thick and doubled.
  "& .owl-node[data-current]": { borderColor: "blue.solid", borderWidth: "3px", borderStyle: "double" },
  "& .owl-row[data-current] > td:first-of-type": { boxShadow: "inset 3px 0 0 var(--chakra-colors-blue-solid)" },
  "& .owl-edge": { bg: "fg.subtle" },
  "& .owl-log": { ...mono, fontSize: "xs", lineHeight: "1.3rem" },
  "& .owl-log-line": { display: "flex", whiteSpace: "pre-wrap", overflowWrap: "anywhere" },
  "& .owl-log-line:target, & .owl-log-line[data-marked=true]": { bg: "yellow.subtle" },
  "& .owl-log-line > a": {
    flex: "none",
    width: "5.5rem",
    pe: "3",
    textAlign: "end",
    color: "fg.muted",
    userSelect: "none",
  },
  "& .owl-log mark": { bg: "yellow.solid", color: "yellow.contrast" },
  "& .owl-field": {
    borderWidth: "1px",
    borderColor: "border.emphasized",
    borderRadius: "sm",
    bg: "bg",
    px: "2",
    height: "8",
    fontSize: "sm",
    color: "fg",
    minWidth: 0,
  },
  "& .owl-field:is(textarea)": { height: "auto", py: "1", width: "100%" },
  "& .owl-field::placeholder": { color: "fg.muted", opacity: 1 },
  // Not none: menus and dialogs wait for the end of their animation.
  "@media (prefers-reduced-motion: reduce)": {
    "&, & *": { animationDuration: "0.01ms !important", transitionDuration: "0.01ms !important" },
  },
};
