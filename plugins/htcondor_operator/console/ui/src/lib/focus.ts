/** Give the keyboard a place in the page if what had its focus is gone. */
export function keepFocus(): void {
  const lost = document.activeElement === null || document.activeElement === document.body;
  if (lost) document.querySelector<HTMLElement>("[data-focus-home]")?.focus({ preventScroll: true });
}
