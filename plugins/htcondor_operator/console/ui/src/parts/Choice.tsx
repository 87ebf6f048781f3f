/** Small controls of the filter bars. */

import { Badge, Button, Menu, Portal } from "@chakra-ui/react";
import { ChevronDown, Search } from "lucide-react";
import type { ReactNode } from "react";

import { useDraft } from "../lib/draft";

export interface Option {
  value: string;
  label?: string;
  count?: number;
}

/** Several of many: a menu of ticks. */
export function MultiChoice(props: {
  label: string;
  options: readonly Option[];
  value: readonly string[];
  onChange: (value: string[]) => void;
}) {
  const { label, options, value, onChange } = props;
  const toggle = (one: string, on: boolean): void =>
    onChange(on ? [...value, one] : value.filter((other) => other !== one));
  // What a link asks for is shown even if nothing of it is there now.
  const all = [
    ...options,
    ...value
      .filter((one) => !options.some((option) => option.value === one))
      .map((one): Option => ({ value: one })),
  ];
  return (
    <Menu.Root closeOnSelect={false} positioning={{ placement: "bottom-start" }}>
      <Menu.Trigger asChild>
        <Button size="xs" variant={value.length ? "subtle" : "outline"}>
          {label}
          {value.length > 0 && <Badge size="xs">{value.length === 1 ? value[0] : value.length}</Badge>}
          <ChevronDown size={14} aria-hidden />
        </Button>
      </Menu.Trigger>
      <Portal>
        <Menu.Positioner>
          <Menu.Content maxH="60vh" overflowY="auto">
            {all.length === 0 && <Menu.Item value="none" disabled>nothing to choose</Menu.Item>}
            {all.map((option) => (
              <Menu.CheckboxItem
                key={option.value}
                value={option.value}
                checked={value.includes(option.value)}
                onCheckedChange={(on) => toggle(option.value, on)}
              >
                <Menu.ItemIndicator />
                {option.label ?? option.value}
                {option.count !== undefined && <Menu.ItemCommand>{option.count}</Menu.ItemCommand>}
              </Menu.CheckboxItem>
            ))}
          </Menu.Content>
        </Menu.Positioner>
      </Portal>
    </Menu.Root>
  );
}

/** A text that is a filter; sent after a pause. */
export function TextFilter(props: {
  label: string;
  value: string;
  onChange: (value: string) => void;
  width?: string;
  icon?: boolean;
  placeholder?: string;
}) {
  const [draft, setDraft, flush] = useDraft(props.value, props.onChange);
  return (
    <span style={{ display: "inline-flex", alignItems: "center", gap: 4 }}>
      {props.icon && <Search size={14} aria-hidden />}
      <input
        className="owl-field"
        style={{ width: props.width ?? "8rem" }}
        type="search"
        aria-label={props.label}
        placeholder={props.placeholder ?? props.label}
        value={draft}
        spellCheck={false}
        autoComplete="off"
        onChange={(event) => setDraft(event.target.value)}
        onBlur={flush}
        onKeyDown={(event) => {
          if (event.key === "Enter") flush();
        }}
      />
    </span>
  );
}

/** One of a few. */
export function OneOf(props: {
  label: string;
  options: readonly Option[];
  value: string;
  onChange: (value: string) => void;
  width?: string;
}) {
  return (
    <select
      className="owl-field"
      style={{ width: props.width }}
      aria-label={props.label}
      value={props.value}
      onChange={(event) => props.onChange(event.target.value)}
    >
      {props.options.map((option) => (
        <option key={option.value} value={option.value}>
          {option.label ?? option.value}
        </option>
      ))}
    </select>
  );
}

/** A label in front of a control. */
export function Labelled({ label, children }: { label: string; children: ReactNode }) {
  return (
    <label style={{ display: "inline-flex", alignItems: "center", gap: 6, fontSize: "0.75rem" }}>
      {label}
      {children}
    </label>
  );
}
