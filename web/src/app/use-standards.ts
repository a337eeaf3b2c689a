import { useEffect, useState } from "preact/hooks";

import type { Standard } from "../model/standards";
import { useApp } from "./context";

const NONE: readonly Standard[] = [];

/** The standards whose bands charts draw, by the index of this browser; none until they are loaded, or if they cannot be. */
export function useStandards(): readonly Standard[] {
  const { api, store } = useApp();
  const scale = store.airScale.value;
  const [standards, setStandards] = useState(NONE);
  useEffect(() => {
    let isClosed = false;
    void api.standards(scale).then((loaded) => {
      if (!isClosed) setStandards(loaded);
    }, () => undefined);
    return () => (isClosed = true);
  }, [scale]);
  return standards;
}
