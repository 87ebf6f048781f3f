/** The host's colours, for a canvas: it cannot use the tokens, and has to follow the theme. */

import { useEffect, useState, type RefObject } from "react";

import { PALETTES } from "../shell/styles";

/** Counts up when the host changes between light and dark. */
export function useThemeChanges(): number {
  const [changes, setChanges] = useState(0);
  useEffect(() => {
    const observer = new MutationObserver(() => setChanges((before) => before + 1));
    observer.observe(document.documentElement, {
      attributes: true,
      attributeFilter: ["class", "data-theme", "style"],
    });
    return () => observer.disconnect();
  }, []);
  return changes;
}

export interface Colours {
  text: string;
  grid: string;
  edge: string;
  palette: Record<string, string>;
}

/** Read the colours as they are at an element inside the console's styles. */
export function readColours(at: RefObject<HTMLElement | null>): Colours {
  const home = at.current ?? document.body;
  const probe = (className: string): CSSStyleDeclaration => {
    const element = document.createElement("span");
    element.className = className;
    home.append(element);
    const style = { ...pick(getComputedStyle(element)) };
    element.remove();
    return style as CSSStyleDeclaration;
  };
  return {
    text: getComputedStyle(home).color,
    grid: probe("owl-grid").backgroundColor,
    edge: probe("owl-edge").backgroundColor,
    palette: Object.fromEntries(
      PALETTES.map((name) => [name, probe(`owl-swatch-${name}`).backgroundColor]),
    ),
  };
}

const pick = (style: CSSStyleDeclaration) => ({ backgroundColor: style.backgroundColor });
