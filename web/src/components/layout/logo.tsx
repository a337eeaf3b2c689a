import type { JSX } from "preact";

export function Logo(): JSX.Element {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path d="M5 21.5h22M7.5 21.5a8.5 8.5 0 0 1 17 0M16 13v8.5M11 14.6v6.9M21 14.6v6.9" />
    </svg>
  );
}
