import { vi } from "vitest";

/** Errors of the application's own code, which are reported apart from now on, until globals are restored. */
export function reportedErrors(): unknown[] {
  const errors: unknown[] = [];
  vi.stubGlobal("queueMicrotask", (call: () => void) => {
    try {
      call();
    } catch (error) {
      errors.push(error);
    }
  });
  return errors;
}
