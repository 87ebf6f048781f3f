/** The nav app: OWL's pages under one head. */

import { Box, Flex, HStack, Text } from "@chakra-ui/react";
import { Component, useEffect, type ReactNode } from "react";
import { NavLink, useLocation } from "react-router-dom";

import { useMe } from "../api/queries";
import { GoOn } from "../lib/here";
import { pagePath, ROOT } from "../lib/links";
import { EmptyNotice, ErrorNotice } from "../parts/Notice";
import { Silence } from "../parts/Silence";
import { DatasetPage } from "../pages/dataset/DatasetPage";
import { FindPage } from "../pages/run/FindPage";
import { RunPage } from "../pages/run/RunPage";
import { PAGES } from "./pages";

/** Return what is behind `/plugin/owl/`, in parts. */
export function placeOf(pathname: string): string[] {
  const at = pathname.indexOf(ROOT);
  const rest = at < 0 ? "" : pathname.slice(at + ROOT.length);
  return rest.split("/").filter(Boolean).map(decodeURIComponent);
}

/** Shows an error of one page without taking the whole interface with it. */
export class Guard extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return <ErrorNotice error={this.state.error} onRetry={() => this.setState({ error: null })} />;
  }
}

function Tabs() {
  const me = useMe();
  return (
    <HStack as="nav" aria-label="OWL" gap="0" borderBottomWidth="1px" px="2" overflowX="auto" flex="none">
      {PAGES.map((page) => (
        <NavLink key={page.id} to={pagePath(page.id)} style={{ flex: "none" }}>
          {({ isActive }) => (
            <Box px="3" py="2" fontSize="sm" borderBottomWidth="2px" mb="-1px"
              fontWeight={isActive ? "semibold" : "normal"}
              color={isActive ? "fg" : "fg.muted"}
              borderColor={isActive ? "blue.solid" : "transparent"}
              _hover={{ color: "fg" }}>
              {page.label}
              {page.badge?.()}
            </Box>
          )}
        </NavLink>
      ))}
      {me.data && (
        <Text ms="auto" ps="4" fontSize="xs" color="fg.muted" whiteSpace="nowrap">
          {me.data.can.operate ? "" : "You may look, not change. "}OWL {me.data.version}
        </Text>
      )}
    </HStack>
  );
}

function Page({ page, argument }: { page: string; argument: string | undefined }) {
  const spec = PAGES.find((one) => one.id === page);
  if (spec) return <>{spec.render()}</>;
  if (page === "run" && /^\d+$/.test(argument ?? "")) return <RunPage runKey={Number(argument)} />;
  if (page === "dataset" && argument) return <DatasetPage dataset={argument} />;
  if (page === "find") return <FindPage />;
  return (
    <EmptyNotice title={`There is no page "${page}${argument ? `/${argument}` : ""}"`}>
      Choose one of the tabs above.
    </EmptyNotice>
  );
}

/** The browser's tab says which page it is: operators have several open, and they go back. */
function useTitle(page: string, argument: string | undefined): void {
  const label = PAGES.find((one) => one.id === page)?.label ?? [page, argument].filter(Boolean).join(" ");
  useEffect(() => {
    const before = document.title;
    document.title = label ? `${label} · OWL` : before;
    return () => {
      document.title = before;
    };
  }, [label]);
}

/** The console. */
export function Console() {
  const { pathname, search } = useLocation();
  const [page = "", argument] = placeOf(pathname);
  useTitle(page, argument);
  if (page === "") return <GoOn to={{ pathname: pagePath("flow"), search }} />;
  return (
    <Flex direction="column" height="100%" minH="0" p="2" gap="2">
      <Tabs />
      <Silence />
      <Box flex="1" minH="0" overflow="auto">
        <Guard key={pathname}>
          <Page page={page} argument={argument} />
        </Guard>
      </Box>
    </Flex>
  );
}
