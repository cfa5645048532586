/** The canvas colours, read from the style sheet once per theme, and a colour for every socket type. */

export interface Colors {
  grid: string;
  card: string;
  header: string;
  line: string;
  text: string;
  soft: string;
  faint: string;
  accent: string;
  error: string;
  done: string;
  group: string;
  dark: boolean;
}

let known: Colors | null = null;

export function colors(): Colors {
  if (known) return known;
  // A variable may hold a colour for each theme; only an element's computed colour is the current one.
  const probe = document.body.appendChild(document.createElement("i"));
  const read = (name: string) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  known = {
    grid: read("canvas-dot"),
    card: read("card"),
    header: read("card-header"),
    line: read("line-strong"),
    text: read("text"),
    soft: read("text-soft"),
    faint: read("text-faint"),
    accent: read("accent"),
    error: read("error"),
    done: read("done"),
    group: read("group"),
    dark: isDark(),
  };
  probe.remove();
  return known;
}

function isDark(): boolean {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
}

export function forgetColors(): void {
  known = null;
  byType.clear();
}

const HUES: Record<string, number> = {
  MODEL: 268,
  CLIP: 48,
  VAE: 2,
  CONDITIONING: 28,
  LATENT: 318,
  IMAGE: 208,
  MASK: 150,
  TOKENS: 74,
  INT: 190,
  FLOAT: 176,
  STRING: 96,
  BOOLEAN: 232,
  COMBO: 222,
  CONTROL_NET: 168,
  SIGMAS: 86,
  SAMPLER: 296,
  NOISE: 340,
  GUIDER: 252,
};

const byType = new Map<string, string>();

export function typeColor(type: string): string {
  let color = byType.get(type);
  if (color === undefined) {
    const { dark } = colors();
    if (type === "*" || !type) color = dark ? "#8b8d98" : "#80838d";
    else color = `hsl(${HUES[type] ?? hue(type)} ${dark ? "52% 66%" : "50% 47%"})`;
    byType.set(type, color);
  }
  return color;
}

function hue(type: string): number {
  let hash = 7;
  for (const letter of type) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 360;
  return hash;
}
