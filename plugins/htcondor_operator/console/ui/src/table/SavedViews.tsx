import { Button, HStack, Popover, Portal, Stack, Text } from "@chakra-ui/react";
import { Bookmark, Trash2 } from "lucide-react";
import { useState } from "react";

import type { Params } from "../lib/params";
import { useRemembered } from "../lib/storage";
import { sheet } from "../shell/styles";

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
  const [open, setOpen] = useState(false);
  const save = (): void => {
    const wanted = name.trim();
    if (!wanted) return;
    const query = viewQuery(params.search);
    keep([...views.filter((view) => view.name !== wanted), { name: wanted, query }]);
    setName("");
  };
  // A popover, not a menu: a field is no item of a menu.
  return (
    <Popover.Root positioning={{ placement: "bottom-end" }} open={open} onOpenChange={(change) => setOpen(change.open)}>
      <Popover.Trigger asChild>
        <Button size="xs" variant="outline">
          <Bookmark size={14} aria-hidden /> Views
        </Button>
      </Popover.Trigger>
      <Portal>
        <Popover.Positioner>
          <Popover.Content css={sheet} width="18rem" aria-label="Views">
            <Popover.Body p="3">
              <Stack gap="1">
                {views.length === 0 && <Text fontSize="sm" color="fg.muted">No view is saved yet.</Text>}
                {views.map((view) => (
                  <HStack key={view.name} gap="1">
                    <Button size="xs" variant="ghost" flex="1" justifyContent="flex-start"
                      onClick={() => {
                        params.replace(view.query);
                        setOpen(false);
                      }}>
                      {view.name}
                    </Button>
                    <button type="button" className="owl-icon-button" aria-label={`Delete ${view.name}`}
                      title={`Delete ${view.name}`}
                      onClick={() => keep(views.filter((other) => other.name !== view.name))}>
                      <Trash2 size={14} aria-hidden />
                    </button>
                  </HStack>
                ))}
                <form
                  style={{ display: "flex", gap: 6, alignItems: "center" }}
                  onSubmit={(event) => {
                    event.preventDefault();
                    save();
                  }}
                >
                  <input
                    className="owl-field"
                    aria-label="Name of the view"
                    placeholder="Save these filters as…"
                    style={{ flex: 1 }}
                    value={name}
                    onChange={(event) => setName(event.target.value)}
                  />
                  <Button size="xs" type="submit" disabled={!name.trim()}>Save</Button>
                </form>
              </Stack>
            </Popover.Body>
          </Popover.Content>
        </Popover.Positioner>
      </Portal>
    </Popover.Root>
  );
}
