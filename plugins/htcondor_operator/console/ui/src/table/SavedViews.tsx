import { Button, Menu, Portal } from "@chakra-ui/react";
import { Bookmark, Trash2 } from "lucide-react";
import { useState } from "react";

import type { Params } from "../lib/params";
import { useRemembered } from "../lib/storage";

interface View {
  name: string;
  query: string;
}

/** Return the query that a view keeps: the filters and the order, not the page. */
export function viewQuery(search: URLSearchParams): string {
  const kept = new URLSearchParams(search);
  kept.delete("cursor");
  kept.delete("page");
  return kept.toString();
}

/** Views that somebody named: filters and order, kept by this browser. */
export function SavedViews({ page, params }: { page: string; params: Params }) {
  const [views, keep] = useRemembered<View[]>(`views.${page}`, []);
  const [name, setName] = useState("");
  const save = (): void => {
    const wanted = name.trim();
    if (!wanted) return;
    const query = viewQuery(params.search);
    keep([...views.filter((view) => view.name !== wanted), { name: wanted, query }]);
    setName("");
  };
  return (
    <Menu.Root positioning={{ placement: "bottom-end" }}>
      <Menu.Trigger asChild>
        <Button size="xs" variant="outline">
          <Bookmark size={14} aria-hidden /> Views
        </Button>
      </Menu.Trigger>
      <Portal>
        <Menu.Positioner>
          <Menu.Content minW="16rem">
            {views.map((view) => (
              <Menu.Item key={view.name} value={`open ${view.name}`} onClick={() => params.replace(view.query)}>
                {view.name}
              </Menu.Item>
            ))}
            {views.map((view) => (
              <Menu.Item key={view.name} value={`delete ${view.name}`} color="fg.error"
                onClick={() => keep(views.filter((other) => other.name !== view.name))}>
                <Trash2 size={14} aria-hidden /> Delete {view.name}
              </Menu.Item>
            ))}
            {views.length === 0 && <Menu.Item value="none" disabled>No view is saved yet</Menu.Item>}
            <Menu.Separator />
            <form
              style={{ display: "flex", gap: 6, padding: 6 }}
              onSubmit={(event) => {
                event.preventDefault();
                save();
              }}
            >
              <input
                aria-label="Name of the view"
                placeholder="Save these filters as…"
                style={{ flex: 1, minWidth: 0, background: "transparent" }}
                value={name}
                // The menu would take the letters for jumps to its items.
                onKeyDown={(event) => event.stopPropagation()}
                onChange={(event) => setName(event.target.value)}
              />
              <Button size="2xs" type="submit" disabled={!name.trim()}>Save</Button>
            </form>
          </Menu.Content>
        </Menu.Positioner>
      </Portal>
    </Menu.Root>
  );
}
