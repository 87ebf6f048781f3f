/** The further things that an action needs: what is typed, what is wrong with it, what it means. */

import { Box, HStack, Text } from "@chakra-ui/react";
import { useEffect, useRef, useState } from "react";

import { DEBOUNCE_MS } from "../lib/draft";

/** A further thing that an action needs. */
export type ActionField =
  | { name: string; label: string; kind: "number"; value: number; min?: number; max?: number }
  | { name: string; label: string; kind: "text"; value: string; pattern?: RegExp; hint?: string }
  | { name: string; label: string; kind: "flag"; value: boolean }
  | { name: string; label: string; kind: "choice"; value: string; options: string[] };

export type Values = Record<string, string | number | boolean>;
type Typed = Record<string, string | boolean>;

interface Read {
  values: Values;
  /** What is wrong, by field. */
  faults: Record<string, string>;
}

function numberFault(text: string, field: { min?: number; max?: number }): string | null {
  const { min, max } = field;
  const value = Number(text);
  if (text.trim() === "" || !Number.isInteger(value)) return "A whole number is needed.";
  if (min !== undefined && value < min) return `It is less than ${min}.`;
  if (max !== undefined && value > max) return `It is more than ${max}.`;
  return null;
}

/** Read what was typed. */
export function readFields(fields: readonly ActionField[], typed: Typed): Read {
  const values: Values = {};
  const faults: Record<string, string> = {};
  for (const field of fields) {
    const given = typed[field.name] ?? field.value;
    if (field.kind === "number") {
      const fault = numberFault(String(given), field);
      if (fault) faults[field.name] = fault;
      else values[field.name] = Number(given);
    } else if (field.kind === "text") {
      const text = String(given).trim();
      if (field.pattern && !field.pattern.test(text)) faults[field.name] = field.hint ?? "It is not valid.";
      else values[field.name] = text;
    } else {
      values[field.name] = given;
    }
  }
  return { values, faults };
}

export interface Draft {
  /** What is asked for: what was typed last, after a pause. */
  values: Values;
  faults: Record<string, string>;
  /** Whether `values` is what the fields say, and nothing is wrong with them. */
  settled: boolean;
  typed: Typed;
  type: (name: string, value: string | boolean, atOnce?: boolean) => void;
  flush: () => void;
}

/** What is typed into an action's fields; each change asks for a preview, after a pause. */
export function useFields(fields: readonly ActionField[]): Draft {
  const [typed, setTyped] = useState<Typed>(() =>
    Object.fromEntries(
      fields.map((field) => [field.name, typeof field.value === "boolean" ? field.value : String(field.value)]),
    ),
  );
  const { values: wanted, faults } = readFields(fields, typed);
  const [values, setValues] = useState(wanted);
  const clean = Object.keys(faults).length === 0;
  const same = JSON.stringify(values) === JSON.stringify(wanted);
  const latest = useRef({ wanted, clean });
  latest.current = { wanted, clean };
  const flush = (): void => {
    if (latest.current.clean) setValues(latest.current.wanted);
  };
  useEffect(() => {
    if (same || !clean) return undefined;
    const timer = setTimeout(flush, DEBOUNCE_MS);
    return () => clearTimeout(timer);
  });
  const type = (name: string, value: string | boolean, atOnce = false): void => {
    const next = { ...typed, [name]: value };
    setTyped(next);
    const read = readFields(fields, next);
    if (atOnce && Object.keys(read.faults).length === 0) setValues(read.values);
  };
  return { values, faults, settled: clean && same, typed, type, flush };
}

/** The fields. */
export function Fields({ fields, draft }: { fields: readonly ActionField[]; draft: Draft }) {
  if (fields.length === 0) return null;
  return (
    <HStack gap="4" wrap="wrap" align="flex-start">
      {fields.map((field) => (
        <Box key={field.name}>
          <label>
            <Text as="span" display="block" fontSize="sm">{field.label}</Text>
            <Control field={field} draft={draft} />
          </label>
          {draft.faults[field.name] && (
            <Text fontSize="xs" color="fg.muted" id={`fault-${field.name}`}>
              {draft.faults[field.name]}
            </Text>
          )}
        </Box>
      ))}
    </HStack>
  );
}

function Control({ field, draft }: { field: ActionField; draft: Draft }) {
  const value = draft.typed[field.name] ?? field.value;
  const fault = draft.faults[field.name] !== undefined;
  const described = fault ? { "aria-invalid": true, "aria-describedby": `fault-${field.name}` } : {};
  switch (field.kind) {
    case "number":
      return (
        <input className="owl-field" type="number" step={1} min={field.min} max={field.max} value={String(value)}
          {...described} onBlur={draft.flush} onChange={(event) => draft.type(field.name, event.target.value)} />
      );
    case "text":
      return (
        <input className="owl-field" value={String(value)} {...described} onBlur={draft.flush}
          onChange={(event) => draft.type(field.name, event.target.value)} />
      );
    case "flag":
      return (
        <input type="checkbox" checked={value === true}
          onChange={(event) => draft.type(field.name, event.target.checked, true)} />
      );
    case "choice":
      return (
        <select className="owl-field" value={String(value)}
          onChange={(event) => draft.type(field.name, event.target.value, true)}>
          {field.options.map((option) => (
            <option key={option}>{option}</option>
          ))}
        </select>
      );
  }
}
