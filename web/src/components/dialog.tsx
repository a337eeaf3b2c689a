import type { ComponentChildren, JSX } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";

import { t } from "../i18n";
import "../style/dialog.css";
import { useAction } from "./use-action";

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

/** A modal dialog. The browser keeps the focus within it, and gives it back at its end; Escape closes it. */
export function Dialog({ title, onClose, children }: DialogProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const opened = dialog.current;
    opened?.showModal();
    return () => opened?.close();
  }, []);
  const cancel = (event: Event): void => {
    event.preventDefault();
    onClose();
  };
  return (
    <dialog class="dialog" ref={dialog} aria-labelledby={id} onCancel={cancel}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

interface ConfirmDialogProps extends DialogProps {
  /** The label of the button that does it. */
  readonly action: string;
  readonly onConfirm: () => Promise<void>;
}

/** Asks once. `children` names what is lost; the focus begins on the button that keeps everything as it is. */
export function ConfirmDialog({ title, action, onConfirm, onClose, children }: ConfirmDialogProps): JSX.Element {
  const { isBusy, error, run } = useAction();
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="losses">{children}</div>
      {error.value && <p class="error" role="alert">{error.value}</p>}
      <div class="buttons">
        <button type="button" autoFocus onClick={onClose}>{t("dialog.cancel")}</button>
        <button type="button" class="danger" disabled={isBusy.value} onClick={() => void run(onConfirm)}>{action}</button>
      </div>
    </Dialog>
  );
}

interface FormDialogProps extends DialogProps {
  readonly action: string;
  readonly onSubmit: (form: FormData) => Promise<void>;
}

export function FormDialog({ title, action, onSubmit, onClose, children }: FormDialogProps): JSX.Element {
  const { isBusy, error, run } = useAction();
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.currentTarget;
    if (form instanceof HTMLFormElement && !isBusy.peek()) void run(() => onSubmit(new FormData(form)));
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit}>
        {children}
        {error.value && <p class="error" role="alert">{error.value}</p>}
        <div class="buttons">
          <button type="button" onClick={onClose}>{t("dialog.cancel")}</button>
          <button type="submit" class="primary" disabled={isBusy.value}>{isBusy.value ? t("auth.busy") : action}</button>
        </div>
      </form>
    </Dialog>
  );
}
