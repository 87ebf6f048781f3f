import { Box, HStack } from "@chakra-ui/react";

import type { Params } from "../lib/params";

interface Props {
  label: string;
  views: readonly { id: string; label: string }[];
  params: Params;
  /** The parameter of the URL that says which. */
  name?: string;
}

/** Return which view the URL names, or the first. */
export function chosenView(views: Props["views"], params: Params, name = "view"): string {
  const wanted = params.get(name);
  return views.some((view) => view.id === wanted) ? wanted : (views[0]?.id ?? "");
}

/** The parts of a page that are shown one at a time. */
export function ViewTabs({ label, views, params, name = "view" }: Props) {
  const current = chosenView(views, params, name);
  return (
    <HStack role="tablist" aria-label={label} gap="0" borderBottomWidth="1px" mb="2" overflowX="auto"
      onKeyDown={(event) => {
        const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
        const tabs = [...event.currentTarget.querySelectorAll<HTMLElement>("[role=tab]")];
        const at = tabs.indexOf(document.activeElement as HTMLElement);
        if (!step || at < 0) return;
        const next = tabs[(at + step + tabs.length) % tabs.length];
        next?.focus();
        next?.click();
      }}>
      {views.map((view) => {
        const on = view.id === current;
        return (
          <Box as="button" key={view.id} role="tab" aria-selected={on} tabIndex={on ? 0 : -1}
            px="3" py="1.5" fontSize="sm" flex="none" cursor="pointer" mb="-1px" borderBottomWidth="2px"
            borderColor={on ? "blue.solid" : "transparent"} fontWeight={on ? "semibold" : "normal"}
            color={on ? "fg" : "fg.muted"}
            onClick={() => params.set({ [name]: view.id }, true)}>
            {view.label}
          </Box>
        );
      })}
    </HStack>
  );
}
