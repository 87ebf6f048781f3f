/** The log of a node's try: search, line numbers, and a link to each line. */

import { Box, Button, HStack, Spacer, Text } from "@chakra-ui/react";
import { ArrowDownToLine, Link2, WrapText } from "lucide-react";
import { memo, useEffect, useRef, useState, type KeyboardEvent, type MouseEvent } from "react";

import { usePolled } from "../../api/queries";
import type { LogPage, NodeTry } from "../../api/types";
import type { Params } from "../../lib/params";
import { useRemembered } from "../../lib/storage";
import { count } from "../../lib/time";
import { OneOf, TextFilter } from "../../parts/Choice";
import { EmptyNotice, Loaded } from "../../parts/Notice";

const STREAMS = [
  { value: "out", label: "stdout" },
  { value: "err", label: "stderr" },
  { value: "log", label: "job log" },
  { value: "dagman", label: "DAGMan" },
];
const MOST_LINES = 2_000;
const BEFORE = 500;
const LIVE_MS = 3_000;
const LIVE_STATES = new Set(["submitted", "idle", "running", "held"]);

/** Return the try that the URL names; without one that of interest: the last failed, or the last. */
export function chosenTry(nodes: readonly NodeTry[], params: Pick<Params, "get">): NodeTry | undefined {
  const node = params.get("node");
  const attempt = Number(params.get("attempt"));
  const number = params.get("try");
  const fits = nodes.filter(
    (one) =>
      (!node || one.node === node) &&
      (!attempt || one.attempt === attempt) &&
      (number === "" || one.try === Number(number)),
  );
  const newest = [...fits].sort((left, right) => right.attempt - left.attempt || right.try - left.try);
  const ran = newest.filter((one) => one.started_at !== null && one.carried_from === null);
  return (
    ran.find((one) => one.state === "failed" || one.state === "held") ??
    ran.find((one) => one.state === "running") ??
    ran.sort((left, right) => (right.started_at ?? "").localeCompare(left.started_at ?? ""))[0] ??
    newest[0]
  );
}

const lines = (n: number): string => `${count(n)} ${n === 1 ? "line" : "lines"}`;
const keyOf = (node: NodeTry): string => `${node.attempt}/${node.node}/${node.try}`;

interface Props {
  runKey: number;
  nodes: readonly NodeTry[];
  params: Params;
}

/** The viewer; what it shows is in the URL. */
export function LogViewer({ runKey, nodes, params }: Props) {
  const node = chosenTry(nodes, params);
  if (!node) {
    return <EmptyNotice title="No node has run yet">Its log will be here when one has.</EmptyNotice>;
  }
  return <Viewer key={runKey} runKey={runKey} node={node} nodes={nodes} params={params} />;
}

function Viewer({ runKey, node, nodes, params }: Props & { node: NodeTry }) {
  const [wrap, setWrap] = useRemembered("log.wrap", true);
  const [follow, setFollow] = useState(true);
  const live = LIVE_STATES.has(node.state);
  const failed = node.state === "failed" && node.exit_code !== 0;
  const stream = params.get("stream") || (failed ? "err" : "out");
  const search = params.get("find");
  const line = Number(params.get("line")) || null;
  const query = usePolled<LogPage>(
    `runs/${runKey}/log`,
    {
      node: node.node,
      attempt: node.attempt,
      try: node.try,
      stream,
      search: search || undefined,
      // A window around the line that a link names; otherwise the end.
      first: search || line === null ? undefined : Math.max(1, line - BEFORE),
      lines: MOST_LINES,
    },
    {
      every: live ? LIVE_MS : false,
      // Another place in the same file.
      keep: (before) =>
        before["node"] === node.node &&
        before["attempt"] === node.attempt &&
        before["try"] === node.try &&
        before["stream"] === stream,
    },
  );
  // What a job writes last comes after the last look while it ran.
  const wasLive = useRef(live);
  const { refetch } = query;
  useEffect(() => {
    if (wasLive.current && !live) void refetch();
    wasLive.current = live;
  }, [live, refetch]);
  // Who stays at a place stays at that node, too, when the next one begins.
  const followed = (on: boolean): void => {
    setFollow(on);
    if (on) params.set({ line: null });
    else if (!params.get("node")) {
      params.set({ node: node.node, attempt: String(node.attempt), try: String(node.try) });
    }
  };
  const choose = (key: string): void => {
    const [attempt = "", name = "", number = ""] = key.split("/");
    params.set({ node: name, attempt, try: number, line: null });
  };
  return (
    <Box>
      <HStack gap="2" wrap="wrap" mb="2">
        <OneOf
          label="Node"
          value={keyOf(node)}
          onChange={choose}
          options={nodes.map((one) => ({
            value: keyOf(one),
            label: `${one.node}, attempt ${one.attempt}${one.try ? `, try ${one.try}` : ""} (${one.state})`,
          }))}
        />
        <OneOf
          label="Stream"
          value={stream}
          options={STREAMS}
          onChange={(value) => params.set({ stream: value, line: null })}
        />
        <TextFilter
          label="Find in the log"
          icon
          width="14rem"
          value={search}
          onChange={(value) => params.set({ find: value, line: null })}
        />
        {query.data && (
          // Not each new line of a job that runs; what a search has found, yes.
          <Text fontSize="xs" color="fg.muted" aria-live={search ? "polite" : "off"}>
            {search ? `${lines(query.data.matches ?? query.data.lines.length)} ${query.data.matches === 1 ? "fits" : "fit"}` : lines(query.data.total ?? 0)}
            {query.data.lines.length < (query.data.matches ?? query.data.total ?? 0) && `, ${count(query.data.lines.length)} shown`}
          </Text>
        )}
        <Spacer />
        {live && (
          <Button size="xs" variant={follow ? "subtle" : "outline"} aria-pressed={follow}
            title={follow ? "New lines come into sight; press to stay at this place" : "Go to the end, and stay there"}
            onClick={() => followed(!follow)}>
            <ArrowDownToLine size={14} aria-hidden /> Follow
          </Button>
        )}
        <Button size="xs" variant={wrap ? "subtle" : "outline"} aria-pressed={wrap} onClick={() => setWrap(!wrap)}>
          <WrapText size={14} aria-hidden /> Wrap
        </Button>
        <Button size="xs" variant="outline" title="Copy a link to this place"
          onClick={() => void navigator.clipboard?.writeText(window.location.href)}>
          <Link2 size={14} aria-hidden /> Copy link
        </Button>
      </HStack>
      <Loaded query={query} what="the log">
        {(page) => (
          <>
            {page.path && (
              <Text fontSize="xs" color="fg.muted" fontFamily="mono" mb="1">
                {page.path}
                {page.truncated && " (the beginning of this large file was not searched)"}
              </Text>
            )}
            {page.lines.length === 0 ? (
              <EmptyNotice title={search ? "No line fits" : "This log is empty"}>
                {search ? "Search for something else." : "Look at another stream, or at the DAGMan log."}
              </EmptyNotice>
            ) : (
              <Lines
                lines={page.lines}
                search={search}
                marked={line}
                wrap={wrap}
                follow={follow}
                onFollow={live ? followed : setFollow}
                onLine={(n) => params.set({ line: String(n), find: null })}
              />
            )}
          </>
        )}
      </Loaded>
    </Box>
  );
}

interface LinesProps {
  lines: LogPage["lines"];
  search: string;
  marked: number | null;
  wrap: boolean;
  follow: boolean;
  onFollow: (on: boolean) => void;
  onLine: (n: number) => void;
}

/** So near to its end a log counts as read to its end. */
const END_PX = 24;

function Lines({ lines, search, marked, wrap, follow, onFollow, onLine }: LinesProps) {
  const box = useRef<HTMLDivElement>(null);
  const seen = useRef<number | null>(null);
  useEffect(() => {
    const frame = box.current;
    if (!frame) return;
    if (marked === null) {
      seen.current = null;
      if (follow && !search) frame.scrollTop = frame.scrollHeight;
      return;
    }
    if (seen.current === marked) return;
    const line = frame.querySelector(`[data-line="${marked}"]`);
    if (!line) return;
    seen.current = marked;
    line.scrollIntoView({ block: "center" });
  }, [lines, marked, search, follow]);
  const base = new URL(window.location.href);
  base.searchParams.delete("line");
  base.searchParams.delete("find");
  const href = `${base.pathname}${base.search}${base.search ? "&" : "?"}line=`;
  const onClick = (event: MouseEvent): void => {
    const link = (event.target as HTMLElement).closest("a");
    const row = link?.closest<HTMLElement>("[data-line]");
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    onLine(Number(row.dataset["line"]));
  };
  return (
    <Box ref={box} className="owl-log" onKeyDown={toNextLine} maxH="60vh" overflow="auto" borderWidth="1px" borderRadius="sm" p="1"
      tabIndex={0} role="log" aria-label="Lines of the log" aria-live="off" onClick={onClick}
      // Like `tail -f`: who scrolls up stays there, who comes back to the end goes on with it.
      onScroll={(event) => {
        const frame = event.currentTarget;
        const atEnd = frame.scrollHeight - frame.scrollTop - frame.clientHeight < END_PX;
        if (marked === null && !search && atEnd !== follow) onFollow(atEnd);
      }}>
      {lines.map((line) => (
        <Line key={line.n} n={line.n} text={line.text} search={search} marked={line.n === marked} wrap={wrap} href={href}
          reached={line.n === (marked ?? lines.at(-1)?.n)} />
      ))}
    </Box>
  );
}

interface LineProps {
  n: number;
  text: string;
  search: string;
  marked: boolean;
  wrap: boolean;
  href: string;
  /** Whether Tab comes to its link: to one of thousands; arrows go on from there. */
  reached: boolean;
}

function toNextLine(event: KeyboardEvent<HTMLElement>): void {
  const row = (event.target as HTMLElement).closest("a")?.closest("[data-line]");
  if (!row || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return;
  event.preventDefault();
  const next = event.key === "ArrowDown" ? row.nextElementSibling : row.previousElementSibling;
  next?.querySelector("a")?.focus();
}

const Line = memo(function Line({ n, text, search, marked, wrap, href, reached }: LineProps) {
  return (
    <div className="owl-log-line" data-line={n} data-marked={marked || undefined}>
      <a href={`${href}${n}`} aria-label={`Line ${n}`} tabIndex={reached ? 0 : -1}>{n}</a>
      <span style={wrap ? undefined : { whiteSpace: "pre" }}>{highlight(text, search)}</span>
    </div>
  );
});

/** Mark what was searched for, without regard to case. */
function highlight(text: string, search: string) {
  if (!search) return text;
  const parts = [];
  const low = text.toLowerCase();
  const wanted = search.toLowerCase();
  let at = 0;
  for (let hit = low.indexOf(wanted); hit >= 0; hit = low.indexOf(wanted, at)) {
    parts.push(text.slice(at, hit), <mark key={hit}>{text.slice(hit, hit + wanted.length)}</mark>);
    at = hit + wanted.length;
  }
  parts.push(text.slice(at));
  return parts;
}
