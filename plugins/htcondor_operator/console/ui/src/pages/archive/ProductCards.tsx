/** Products with their pictures. */

import { Box, Flex, HStack, SimpleGrid, Text } from "@chakra-ui/react";
import { Download, FileText, ImageOff } from "lucide-react";
import { useEffect, useState, type ReactNode } from "react";
import { Link as RouterLink } from "react-router-dom";

import { apiUrl } from "../../api/client";
import type { Product } from "../../api/types";
import { datasetPath, runPath } from "../../lib/links";
import { bytes, stamp } from "../../lib/time";

const fileUrl = (number: number): string => apiUrl(`products/${number}/file`);

const AGAIN_MS = 5_000;
const MOST_TRIES = 3;
const ENDING = /\.([a-z]+)(?:\.(?:gz|fz))?$/i;
const IMAGES: ReadonlySet<string> = new Set(["fits", "fit", "jpg", "jpeg", "png"]);

/** Return the sort of a file that is no image, for its card: `JSON`. The pictures are of the dataset. */
export function plainSort(name: string): string | null {
  const ending = ENDING.exec(name)?.[1]?.toLowerCase() ?? "";
  return IMAGES.has(ending) ? null : ending.toUpperCase() || "FILE";
}

function Tile({ children }: { children: ReactNode }) {
  return (
    <Flex direction="column" gap="1" height="100%" align="center" justify="center" color="fg.muted" fontSize="xs">
      {children}
    </Flex>
  );
}

/** A picture of a product, or a sign that there is none. */
function Picture({ product }: { product: Product }) {
  const picture = product.thumb ?? product.preview;
  const [broken, setBroken] = useState(false);
  const [tries, setTries] = useState(0);
  // A server that could not answer now can in a while.
  useEffect(() => {
    if (!broken || tries >= MOST_TRIES) return undefined;
    const again = setTimeout(() => {
      setTries(tries + 1);
      setBroken(false);
    }, AGAIN_MS);
    return () => clearTimeout(again);
  }, [broken, tries]);
  const sort = plainSort(product.name);
  if (sort !== null) return <Tile><FileText size={28} aria-hidden />{sort}</Tile>;
  if (broken || picture === null) return <Tile><ImageOff size={28} aria-hidden />no preview</Tile>;
  return (
    <img
      src={fileUrl(picture)}
      alt={`Preview of ${product.dataset}`}
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
        {product.preview === null || plainSort(product.name) !== null ? (
          <Picture product={product} />
        ) : (
          <a href={fileUrl(product.preview)} target="_blank" rel="noreferrer"
            aria-label={`Preview of ${product.dataset} in full size`}>
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
            <Download size={12} aria-hidden style={{ display: "inline" }} />{" "}
            <span className="owl-hidden">Download {product.name}, </span>{bytes(product.bytes)}
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
    <SimpleGrid gap="3" templateColumns="repeat(auto-fill, minmax(13rem, 1fr))" role="list" aria-label="Products">
      {props.products.map((product) => (
        <Box key={product.id} role="listitem">
          <Card product={product} withRun={props.withRun ?? false} />
        </Box>
      ))}
    </SimpleGrid>
  );
}
