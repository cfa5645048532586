/** Node types, read from `GET /object_info`. */

export type WidgetKind = "int" | "float" | "text" | "multiline" | "choice" | "switch" | "color" | "image";

export interface InputDef {
  name: string;
  /** The name in the chosen language, if it is translated. */
  label?: string;
  type: string;
  required: boolean;
  /** null: a socket only. */
  widget: WidgetKind | null;
  default?: unknown;
  min?: number | bigint;
  max?: number | bigint;
  step?: number;
  round?: number;
  choices?: unknown[];
  tooltip?: string;
  placeholder?: string;
  /** Whether it changes after each run (fixed, incremented, decremented or randomized), as seeds do. */
  controlled: boolean;
  /** Whether `{a|b}` in its text is replaced by one of the two. */
  dynamicPrompts?: boolean;
  /** Whether widgets_values has an extra entry for its upload button. */
  upload?: "image" | "video" | "audio" | "file" | "model";
  folder: "input" | "output";
  /** The folder of model files whose names are the choices, such as `loras`. */
  modelFolder?: string;
  /** A choice whose options have inputs; ComfyUI calls it DynamicCombo. Their full names are `choice.input`. */
  options?: { key: string; inputs: InputDef[] }[];
  /** Sockets that appear as they are linked, `name.member`; ComfyUI calls them Autogrow. `numbered`: gaps are closed. */
  grows?: { member: InputDef; names: string[]; min: number; numbered: boolean };
}

export interface OutputDef {
  name: string;
  label?: string;
  type: string;
  isList: boolean;
  tooltip?: string;
}

export interface NodeDef {
  name: string;
  title: string;
  /** The title in the chosen language, if it is translated. */
  label?: string;
  description: string;
  category: string;
  categoryLabel?: string;
  inputs: InputDef[];
  outputs: OutputDef[];
  outputNode: boolean;
  deprecated: boolean;
  experimental: boolean;
  /** arXiv numbers of the papers that define it. */
  papers?: readonly string[];
}

export type Catalogue = ReadonlyMap<string, NodeDef>;

type RawInput = [unknown, Record<string, unknown>?];

interface RawInputs {
  required?: Record<string, RawInput>;
  optional?: Record<string, RawInput>;
}

export interface RawNodeDef {
  input?: RawInputs;
  input_order?: { required?: string[]; optional?: string[] };
  output?: unknown[];
  output_name?: string[];
  output_is_list?: boolean[];
  output_tooltips?: (string | null)[];
  display_name?: string;
  description?: string;
  category?: string;
  output_node?: boolean;
  deprecated?: boolean;
  experimental?: boolean;
  papers?: unknown;
  model_folders?: Record<string, string>;
}

export function readCatalogue(info: Record<string, RawNodeDef>): Map<string, NodeDef> {
  return new Map(Object.entries(info).map(([name, raw]) => [name, readNodeDef(name, raw ?? {})]));
}

function readNodeDef(name: string, raw: RawNodeDef): NodeDef {
  const inputs = readInputs(raw.input, raw.input_order).map((input) => ({
    ...input,
    modelFolder: raw.model_folders?.[input.name],
  }));
  const outputs = (raw.output ?? []).map((type, index) => ({
    name: raw.output_name?.[index] || typeName(type),
    type: typeName(type),
    isList: raw.output_is_list?.[index] ?? false,
    tooltip: raw.output_tooltips?.[index] || undefined,
  }));
  return {
    name,
    title: raw.display_name || name,
    description: raw.description ?? "",
    category: raw.category ?? "",
    inputs,
    outputs,
    outputNode: raw.output_node ?? false,
    deprecated: raw.deprecated ?? false,
    experimental: raw.experimental ?? false,
    papers: Array.isArray(raw.papers) ? raw.papers.map(String) : undefined,
  };
}

function readInputs(raw: RawInputs | undefined, order?: RawNodeDef["input_order"]): InputDef[] {
  return (["required", "optional"] as const).flatMap((group) => {
    const declared = raw?.[group] ?? {};
    return (order?.[group] ?? Object.keys(declared)).flatMap((key) => {
      const entry = declared[key];
      return entry === undefined || entry === null ? [] : [readInput(key, entry, group === "required")];
    });
  });
}

const typeName = (type: unknown): string => (Array.isArray(type) ? "COMBO" : String(type));

/** Packs declare anything; an input that is not `[type, options]` becomes a socket of that type. */
function readInput(name: string, entry: RawInput | string, required: boolean): InputDef {
  const [declared, given] = Array.isArray(entry) ? entry : [entry];
  const options = typeof given === "object" && given !== null ? given : {};
  if (declared === CHOICE_WITH_INPUTS) return readChoice(name, options, required);
  if (declared === GROWING_INPUTS) return readGrowing(name, options, required) ?? socket(name, declared, required);
  const choices = Array.isArray(declared)
    ? declared
    : declared === "COMBO"
      ? ((options.options as unknown[]) ?? [])
      : undefined;
  const type = choices ? "COMBO" : String(declared);
  const uploads = (["image", "video", "audio", "file", "model"] as const).filter((kind) => options[`${kind}_upload`]);
  return {
    name,
    type,
    required,
    widget: options.forceInput ? null : widgetKind(type, options),
    default: options.default,
    min: options.min as number | undefined,
    max: options.max as number | undefined,
    step: options.step as number | undefined,
    round: options.round === false ? undefined : (options.round as number | undefined),
    choices,
    tooltip: options.tooltip as string | undefined,
    placeholder: options.placeholder as string | undefined,
    controlled: isControlled(name, type, options),
    dynamicPrompts: options.dynamicPrompts === true || undefined,
    upload: uploads[0],
    folder: options.image_folder === "output" ? "output" : "input",
  };
}

const CHOICE_WITH_INPUTS = "COMFY_DYNAMICCOMBO_V3";
const GROWING_INPUTS = "COMFY_AUTOGROW_V3";
/** How many sockets ComfyUI allows where a node sets no limit. */
const MOST_MEMBERS = 100;

const socket = (name: string, type: string, required: boolean): InputDef => ({
  name,
  type,
  required,
  widget: null,
  controlled: false,
  folder: "input",
});

function readChoice(name: string, given: Record<string, unknown>, required: boolean): InputDef {
  const listed = Array.isArray(given.options) ? (given.options as { key?: unknown; inputs?: RawInputs }[]) : [];
  const options = listed.map(({ key, inputs }) => ({ key: String(key), inputs: readInputs(inputs) }));
  return {
    ...socket(name, "COMBO", required),
    widget: "choice",
    choices: options.map(({ key }) => key),
    default: given.default,
    tooltip: given.tooltip as string | undefined,
    options,
  };
}

/** null: the template names no input. */
function readGrowing(name: string, given: Record<string, unknown>, required: boolean): InputDef | null {
  const template = (given.template ?? {}) as {
    input?: RawInputs;
    prefix?: string;
    names?: string[];
    min?: number;
    max?: number;
  };
  const [member] = readInputs(template.input);
  if (!member) return null;
  const numbered = !Array.isArray(template.names);
  const most = template.max ?? MOST_MEMBERS;
  const names = numbered
    ? Array.from({ length: most }, (_, number) => `${template.prefix ?? ""}${number}`)
    : (template.names as string[]).slice(0, most);
  return {
    ...socket(name, member.type, required),
    tooltip: given.tooltip as string | undefined,
    grows: { member, names, min: template.min ?? 1, numbered },
  };
}

function widgetKind(type: string, options: Record<string, unknown>): WidgetKind | null {
  switch (type) {
    case "INT":
      return options.display === "color" ? "color" : "int";
    case "FLOAT":
      return "float";
    case "STRING":
      return options.multiline ? "multiline" : "text";
    case "BOOLEAN":
      return "switch";
    case "COMBO":
      return options.image_upload ? "image" : "choice";
    default:
      return null;
  }
}

function isControlled(name: string, type: string, options: Record<string, unknown>): boolean {
  if (type === "INT") return Boolean(options.control_after_generate ?? (name === "seed" || name === "noise_seed"));
  return type === "COMBO" && Boolean(options.control_after_generate);
}

/** The initial value of a widget. undefined: none. */
export function firstValue(input: InputDef): unknown {
  if (input.default !== undefined) return input.default;
  if (input.choices?.length) return input.choices[0];
  switch (input.type) {
    case "INT":
    case "FLOAT":
      return Math.max(0, Number(input.min ?? 0));
    case "STRING":
      return "";
    case "BOOLEAN":
      return false;
    default:
      return undefined;
  }
}
