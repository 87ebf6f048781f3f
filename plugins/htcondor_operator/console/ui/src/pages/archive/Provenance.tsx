/** How products were made: references, their context, checksums. */

import { Stack } from "@chakra-ui/react";

import type { Product } from "../../api/types";
import { stamp } from "../../lib/time";
import { EmptyNotice } from "../../parts/Notice";
import { Section } from "../../parts/Section";
import { SmallTable } from "../../parts/SmallTable";

const pairs = (values: Record<string, string> | null | undefined): [string, string][] =>
  Object.entries(values ?? {}).sort(([left], [right]) => left.localeCompare(right));

interface Props {
  products: readonly Product[];
}

/** References of the newest product that has them; the checksum of each. */
export function Provenance({ products }: Props) {
  const source = products.find((product) => pairs(product.reference_files).length > 0);
  return (
    <Stack gap="3">
      <Section title={`References${source?.reference_context ? ` (${source.reference_context})` : ""}`}>
        <SmallTable
          label="Reference files"
          rows={pairs(source?.reference_files)}
          keyOf={([keyword]) => keyword}
          empty={<EmptyNotice title="No references are known">They are noted when a product is archived.</EmptyNotice>}
          columns={[
            { label: "Keyword", width: 140, className: "owl-mono", cell: ([keyword]) => keyword },
            { label: "File", className: "owl-mono", cell: ([, file]) => file },
          ]}
        />
      </Section>
      <Section title="Checksums">
        <SmallTable
          label="Checksums"
          rows={products}
          keyOf={(product) => product.id}
          empty={<EmptyNotice title="No product is archived yet" />}
          columns={[
            { label: "Product", width: 240, className: "owl-mono", cell: (product) => product.name },
            { label: "Archived (UTC)", width: 150, className: "owl-num", cell: (product) => stamp(product.archived_at) },
            { label: "Verified (UTC)", width: 150, className: "owl-num", cell: (product) => stamp(product.verified_at) },
            { label: "Fault", width: 160, className: "owl-wrap", cell: (product) => product.fault },
            { label: "SHA-256", className: "owl-mono", cell: (product) => <span title={product.sha256 ?? undefined}>{product.sha256}</span> },
          ]}
        />
      </Section>
    </Stack>
  );
}
