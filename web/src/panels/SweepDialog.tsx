/** Sets up a sweep: fields and their values, the number of pictures, and an estimate of the time. */

import { useEffect, useId, useState } from "react";
import type { InputDef } from "../document/schema";
import { type Place, type SweepField, samePlace } from "../format/sweep_fields";
import { type Key, t as say, useT } from "../i18n";
import { Refused, type SweepPlan } from "../server/client";
import { confirmed } from "../state/dialogs";
import { runSweep } from "../state/submission";
import { type Axis, estimated, fieldsHere, MOST_AXES, planned } from "../state/sweeps";
import { show } from "../state/ui";
import { Icon } from "../widgets/Icon";
import { Dialog } from "./Dialog";

const CALM = 250;

/** What the server says about the axes that have values; null: nothing yet. */
type Verdict = { plan: SweepPlan } | { refused: Refused } | null;

export default function SweepDialog({ first }: { first: Place }) {
  const t = useT();
  const [fields] = useState(fieldsHere);
  const [axes, setAxes] = useState<readonly Axis[]>([{ ...first, values: "" }]);
  const verdict = useVerdict(axes);
  const [busy, setBusy] = useState(false);
  const close = () => show({ sweep: null });
  const change = (index: number, axis: Axis) => setAxes(axes.with(index, axis));
  const free = fields.filter((field) => !axes.some((axis) => samePlace(axis, field)));
  const plan = verdict && "plan" in verdict ? verdict.plan : null;
  const complete = plan !== null && axes.every((axis) => axis.values.trim());
  const general = generalError(verdict, axes, fields);
  const run = async () => {
    if (!plan || !complete || busy) return;
    const many = plan.pictures > plan.limit;
    const count = plan.pictures;
    const choice = { id: "run", label: t("sweep.many", { count }), kind: "primary" as const };
    if (many && !(await confirmed(t("sweep.manyTitle", { count }), t("sweep.manyText"), choice))) return;
    setBusy(true);
    if (await runSweep(axes, many)) close();
    else setBusy(false);
  };
  return (
    <Dialog title={t("sweep.title")} onClose={close}>
      <form
        className="sweep"
        onSubmit={(event) => {
          event.preventDefault();
          void run();
        }}
      >
        {axes.map((axis, index) => (
          <AxisRow
            key={`${axis.node}/${axis.input}`}
            axis={axis}
            fields={fields}
            free={free}
            labels={plan?.sweep.find((read) => samePlace(read, axis))?.labels ?? null}
            error={errorOf(verdict, axis, fields)}
            onChange={(next) => change(index, next)}
            onRemove={axes.length > 1 ? () => setAxes(axes.filter((each) => each !== axis)) : null}
          />
        ))}
        {axes.length < MOST_AXES && free.length > 0 && (
          <button
            type="button"
            className="button sweep-add"
            onClick={() => setAxes([...axes, { ...placeIn(nextField(free, axes)), values: "" }])}
          >
            <Icon name="add" />
            {t("sweep.add")}
          </button>
        )}
        <p className="hint">{t("sweep.gridHint")}</p>
        <footer className="sweep-foot">
          <span role="status" className="sweep-count" data-error={general !== null || undefined}>
            {general ?? (complete && plan ? <Count plan={plan} /> : "")}
          </span>
          <button type="button" className="button" onClick={close}>
            {t("app.cancel")}
          </button>
          <button type="submit" className="button primary" disabled={!complete || busy}>
            {t("sweep.run")}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

function useVerdict(axes: readonly Axis[]): Verdict {
  const [verdict, setVerdict] = useState<Verdict>(null);
  useEffect(() => {
    const typed = axes.filter((axis) => axis.values.trim());
    let wanted = true;
    const timer = window.setTimeout(async () => {
      if (!typed.length) return setVerdict(null);
      try {
        const plan = await planned(typed);
        if (wanted) setVerdict({ plan });
      } catch (error) {
        const refused = error instanceof Refused ? error : new Refused(0, String(error));
        if (wanted) setVerdict({ refused });
      }
    }, CALM);
    return () => {
      wanted = false;
      window.clearTimeout(timer);
    };
  }, [axes]);
  return verdict;
}

/** The server's error about one axis in the chosen language, or null. */
function errorOf(verdict: Verdict, axis: Axis, fields: readonly SweepField[]): string | null {
  if (!verdict || !("refused" in verdict) || !axis.values.trim()) return null;
  const errors = verdict.refused.nodeErrors[axis.node]?.errors ?? [];
  const own = errors.find((error) => error.extra_info?.input_name === axis.input);
  if (!own) return null;
  const { reason = own.type, received_value: value, ...facts } = own.extra_info ?? {};
  const key = REASONS[String(reason)];
  const { min = "", max = "" } = fields.find((field) => samePlace(field, axis))?.def ?? {};
  if (key) return say(key, { ...facts, value: String(value), min: String(min), max: String(max) });
  return sentence(own.message, own.details.replace(`${axis.input}: `, ""));
}

/** The server's reasons and types of problems. */
const REASONS: Readonly<Record<string, Key>> = {
  not_a_number: "sweep.error.notANumber",
  number_missing: "sweep.error.numberMissing",
  not_whole: "sweep.error.notWhole",
  too_many: "sweep.error.tooMany",
  too_many_combinations: "sweep.error.tooManyTogether",
  changes_nothing: "sweep.error.changesNothing",
  number_too_large: "sweep.error.numberTooLarge",
  never_arrives: "sweep.error.neverArrives",
  no_match: "sweep.error.noMatch",
  choice_missing: "sweep.error.choiceMissing",
  not_a_switch: "sweep.error.notASwitch",
  no_values: "sweep.error.noValues",
  not_readable: "sweep.error.notReadable",
  linked: "sweep.error.linked",
  value_not_in_list: "sweep.error.notInList",
  value_smaller_than_min: "sweep.error.tooSmall",
  value_bigger_than_max: "sweep.error.tooLarge",
};

/** An error that belongs to no axis. */
function generalError(verdict: Verdict, axes: readonly Axis[], fields: readonly SweepField[]): string | null {
  if (!verdict || !("refused" in verdict) || axes.some((axis) => errorOf(verdict, axis, fields) !== null)) return null;
  const { status, message, details, nodeErrors, about } = verdict.refused;
  if (!status) return say("run.unreachable");
  const { reason = about.type, ...facts } = about;
  const key = REASONS[String(reason)];
  if (key) return say(key, facts as Record<string, string | number>);
  const nodes = Object.keys(nodeErrors).map((id) => fields.find(({ node }) => node === id)?.title ?? id);
  return nodes.length ? say("sweep.error.elsewhere", { nodes: nodes.join(", ") }) : sentence(message, details);
}

const sentence = (message: string, details: string): string =>
  [message, details].filter((part, index, parts) => part && parts.indexOf(part) === index).join(" — ");

const placeIn = ({ node, input }: Place): Place => ({ node, input });

/** The free field after the last axis: usually of the same node. */
function nextField(free: readonly SweepField[], axes: readonly Axis[]): SweepField {
  const last = axes.at(-1)?.node;
  return free.find((field) => field.node === last) ?? (free[0] as SweepField);
}

function Count({ plan }: { plan: SweepPlan }) {
  const t = useT();
  const seconds = estimated(plan);
  const count = plan.pictures === 1 ? t("sweep.picture") : t("sweep.pictures", { count: plan.pictures });
  return <>{seconds === null ? count : `${count} · ${t("sweep.estimate", { time: timeOf(seconds, t) })}`}</>;
}

function timeOf(seconds: number, t: ReturnType<typeof useT>): string {
  if (seconds < 90) return t("sweep.seconds", { count: Math.max(1, Math.round(seconds)) });
  if (seconds < 5400) return t("sweep.minutes", { count: Math.round(seconds / 60) });
  return t("sweep.hours", { count: Math.round(seconds / 360) / 10 });
}

interface RowProps {
  axis: Axis;
  fields: readonly SweepField[];
  free: readonly SweepField[];
  /** The values as the server reads them. */
  labels: readonly string[] | null;
  error: string | null;
  onChange(axis: Axis): void;
  onRemove: (() => void) | null;
}

const keyOf = (place: Place): string => JSON.stringify([place.node, place.input]);

function AxisRow({ axis, fields, free, labels, error, onChange, onRemove }: RowProps) {
  const t = useT();
  const said = useId();
  const field = fields.find((each) => samePlace(each, axis));
  const offered = fields.filter((each) => each === field || free.includes(each));
  const nodes = [...new Set(offered.map((each) => each.node))];
  const name = field ? (field.def.label ?? field.input) : axis.input;
  return (
    <fieldset className="sweep-axis">
      <div className="sweep-line">
        <select
          aria-label={t("sweep.field")}
          value={keyOf(axis)}
          onChange={(event) => {
            const next = offered.find((each) => keyOf(each) === event.target.value);
            if (next) onChange({ ...placeIn(next), values: "" });
          }}
        >
          {!field && <option value={keyOf(axis)}>{name}</option>}
          {nodes.map((node) => (
            <optgroup key={node} label={offered.find((each) => each.node === node)?.title}>
              {offered
                .filter((each) => each.node === node)
                .map((each) => (
                  <option key={keyOf(each)} value={keyOf(each)}>
                    {each.def.label ?? each.input}
                  </option>
                ))}
            </optgroup>
          ))}
        </select>
        <input
          type="text"
          autoFocus
          aria-label={`${t("sweep.values")}: ${name}`}
          aria-invalid={error !== null}
          aria-describedby={said}
          placeholder={placeholder(field?.def, t)}
          spellCheck={false}
          autoComplete="off"
          value={axis.values}
          onChange={(event) => onChange({ ...axis, values: event.target.value })}
        />
        {onRemove && (
          <button
            type="button"
            className="icon-button"
            aria-label={t("sweep.remove", { field: name })}
            onClick={onRemove}
          >
            <Icon name="close" />
          </button>
        )}
      </div>
      {field && isChoice(field.def) && <Choices axis={axis} def={field.def} onChange={onChange} />}
      <small id={said} role="status" data-error={error !== null || undefined}>
        {error ?? (labels ? shortened(labels) : isText(field?.def) ? t("sweep.textHint") : "")}
      </small>
    </fieldset>
  );
}

const isText = (def: InputDef | undefined): boolean => def?.widget === "text" || def?.widget === "multiline";
const isChoice = (def: InputDef): boolean => (def.widget === "choice" || def.widget === "image") && !!def.choices;

function placeholder(def: InputDef | undefined, t: ReturnType<typeof useT>): string {
  if (!def) return "";
  if (isText(def)) return t("sweep.texts");
  if (isChoice(def)) return t("sweep.choices");
  return t(def.widget === "switch" ? "sweep.switches" : "sweep.numbers");
}

const MOST_LABELS = 30;

const shortened = (labels: readonly string[]): string =>
  labels.slice(0, MOST_LABELS).join(" · ") + (labels.length > MOST_LABELS ? ` … (${labels.length})` : "");

const MOST_CHOICES = 300;

/** The choices as buttons that add and remove their names. Names may contain commas. */
function Choices({ axis, def, onChange }: { axis: Axis; def: InputDef; onChange(axis: Axis): void }) {
  const t = useT();
  const names = (def.choices ?? []).map(String);
  const all = /^\s*(all|\*)\s*$/i.test(axis.values);
  const listed = `,${spaceless(axis.values)},`;
  const isChosen = (name: string) => all || listed.includes(`,${spaceless(name)},`);
  const write = (values: string) => onChange({ ...axis, values });
  const toggle = (name: string) => {
    const typed = axis.values.trim();
    if (all) write(names.filter((each) => each !== name).join(", "));
    else if (!isChosen(name)) write(typed ? `${typed}, ${name}` : name);
    else
      write(
        listed
          .replace(`,${spaceless(name)},`, ",")
          .slice(1, -1)
          .replaceAll(",", ", "),
      );
  };
  return (
    <div className="sweep-choices">
      <button type="button" aria-pressed={all} onClick={() => write(all ? "" : "all")}>
        {t("sweep.all")}
      </button>
      {names.slice(0, MOST_CHOICES).map((name) => (
        <button type="button" key={name} aria-pressed={isChosen(name)} onClick={() => toggle(name)}>
          {name}
        </button>
      ))}
    </div>
  );
}

const spaceless = (text: string): string =>
  text
    .split(",")
    .map((part) => part.trim())
    .join(",");
