import { Box, type BoxProps } from "@chakra-ui/react";
import { useEffect, useRef, useState } from "react";

interface Props extends BoxProps {
  label: string;
}

/** A part that scrolls when it has to; then, and only then, the keyboard reaches it, too. */
export function Scrolled({ label, children, ...more }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [over, setOver] = useState(false);
  useEffect(() => {
    const frame = box.current;
    if (!frame || typeof ResizeObserver === "undefined") return undefined;
    const look = (): void =>
      setOver(frame.scrollWidth > frame.clientWidth || frame.scrollHeight > frame.clientHeight);
    const observer = new ResizeObserver(look);
    observer.observe(frame);
    if (frame.firstElementChild) observer.observe(frame.firstElementChild);
    look();
    return () => observer.disconnect();
  }, []);
  const reached = over ? { tabIndex: 0, role: "region", "aria-label": `${label}, scrollable` } : {};
  return (
    <Box ref={box} overflow="auto" {...more} {...reached}>
      {children}
    </Box>
  );
}
