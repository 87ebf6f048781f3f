/** Products with their pictures. */

import { Box, HStack, SimpleGrid, Text } from "@chakra-ui/react";
import { Download, ImageOff } from "lucide-react";
import { useState } from "react";
import { Link as RouterLink } from "react-router-dom";

import { apiUrl } from "../../api/client";
import type { Product } from "../../api/types";
import { datasetPath, runPath } from "../../lib/links";
import { bytes, stamp } from "../../lib/time";

const fileUrl = (number: number): string => apiUrl(`products/${number}/file`);

/** A picture of a product, or a sign that there is none. */
function Picture({ product }: { product: Product }) {
  const picture = product.thumb ?? product.preview;
  const [broken, setBroken] = useState(false);
  if (broken || picture === null) {
    return (
      <Box height="100%" display="flex" alignItems="center" justifyContent="center" color="fg.subtle">
        <ImageOff size={28} aria-label="No preview" />
      </Box>
    );
  }
  return (
    <img
      src={fileUrl(picture)}
      alt={`Preview of ${product.name}`}
      loading="lazy"
      decoding="async"
      style={{ width: "100%", height: "100%", objectFit: "contain", background: "black" }}
      onError={() => setBroken(true)}
    />
  );
}

function Card({ product, withRun }: { product: Product; withRun: boolean }) {
  const facts = [
    product.target_name,
    [product.instrument_name, product.detector, product.filters].filter(Boolean).join(" "),
    product.observed_at && `observed ${stamp(product.observed_at).slice(0, 10)}`,
  ].filter(Boolean);
  return (
    <Box borderWidth="1px" borderRadius="md" overflow="hidden" minW="0">
      <Box height="11rem" bg="bg.muted">
        {product.preview === null ? (
          <Picture product={product} />
        ) : (
          <a href={fileUrl(product.preview)} target="_blank" rel="noreferrer"
            aria-label={`Preview of ${product.name} in full size`}>
            <Picture product={product} />
          </a>
        )}
      </Box>
      <Box p="2" fontSize="xs">
        <Text fontFamily="mono" fontWeight="semibold" truncate title={product.name}>{product.name}</Text>
        {facts.map((fact) => (
          <Text key={fact} color="fg.muted" truncate>{fact}</Text>
        ))}
        {product.fault && <Text color="fg.error">{product.fault}</Text>}
        <HStack justify="space-between" mt="1">
          <a className="owl-link" href={fileUrl(product.id)} download={product.name}>
            <Download size={12} aria-hidden style={{ display: "inline" }} /> {bytes(product.bytes)}
          </a>
          {withRun && (
            <RouterLink className="owl-link"
              to={product.run_key === null ? datasetPath(product.dataset) : runPath(product.run_key, "?view=products")}>
              {product.dataset}
            </RouterLink>
          )}
        </HStack>
      </Box>
    </Box>
  );
}

/** The cards, as many in a row as fit. */
export function ProductCards(props: { products: readonly Product[]; withRun?: boolean }) {
  return (
    <SimpleGrid minChildWidth="13rem" gap="3" role="list" aria-label="Products">
      {props.products.map((product) => (
        <Box key={product.id} role="listitem" maxW="20rem">
          <Card product={product} withRun={props.withRun ?? false} />
        </Box>
      ))}
    </SimpleGrid>
  );
}
