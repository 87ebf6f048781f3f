import { Box, Heading, HStack, Spacer } from "@chakra-ui/react";
import type { ReactNode } from "react";

/** A titled part of a page. */
export function Section(props: { title: string; tools?: ReactNode; children: ReactNode }) {
  return (
    <Box as="section" borderWidth="1px" borderRadius="md" p="3" minW="0" aria-label={props.title}>
      <HStack mb="2">
        <Heading as="h2" size="sm">{props.title}</Heading>
        <Spacer />
        {props.tools}
      </HStack>
      {props.children}
    </Box>
  );
}

/** Names and values, side by side. */
export function Facts({ facts }: { facts: readonly (readonly [string, ReactNode])[] }) {
  return (
    <Box as="dl" display="grid" gridTemplateColumns="max-content minmax(0, 1fr)" columnGap="4" rowGap="1" fontSize="sm">
      {facts
        .filter(([, value]) => value !== null && value !== undefined && value !== "")
        .map(([name, value]) => (
          <Box key={name} display="contents">
            <Box as="dt" color="fg.muted">{name}</Box>
            <Box as="dd" overflowWrap="anywhere">{value}</Box>
          </Box>
        ))}
    </Box>
  );
}
