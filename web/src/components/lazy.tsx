import type { ComponentType, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { t } from "../i18n";

type State<Props> = { readonly component: ComponentType<Props> } | "loading" | "failed";

/** A component in a chunk of its own, loaded when it is first rendered. */
export function lazy<Props extends object>(load: () => Promise<ComponentType<Props>>): (props: Props) => JSX.Element {
  let loaded: State<Props> = "loading";
  return function Lazy(props: Props) {
    const [state, setState] = useState(loaded);
    useEffect(() => {
      if (state !== "loading") return;
      void load().then(
        (component) => setState((loaded = { component })),
        () => setState("failed"),
      );
    }, [state]);
    if (state === "loading") return <p class="waiting">{t("app.loading")}</p>;
    if (state === "failed") {
      return (
        <div class="waiting">
          <p>{t("app.failed")}</p>
          <button type="button" onClick={() => location.reload()}>{t("app.retry")}</button>
        </div>
      );
    }
    const Component = state.component;
    return <Component {...props} />;
  };
}
