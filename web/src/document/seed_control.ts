/** What a form's seed does after each run: set on its node, or on the node that a subgraph's field belongs to. */

import type { PlacedField } from "./app_fields";
import { type Doc, type GraphNode, subgraphs } from "./document";
import { changeLevel, mapNode } from "./edits";
import { groupPlan, placedFields } from "./group_nodes";
import { sourceOf } from "./lifting";
import { promotedNames } from "./promoted";
import { type Control, control, primitiveControl, withControl, withPrimitiveControl } from "./widget_values";
import { type EditContext, setWidget } from "./widget_views";

/** How a seed changes after each run; null: it cannot. */
export function seedControl(found: PlacedField, env: EditContext): Control | null {
  const own = ownControl(found, env)?.value;
  if (typeof own === "string") return own as Control;
  const companion = groupCompanion(found, env);
  if (companion) return companion.value;
  const at = controller(found, env);
  if (!at) return null;
  const def = env.catalogue.get(at.node.type);
  if (!def) return primitiveControl(at.node) ?? null;
  return def.inputs.find((input) => input.name === at.name)?.controlled ? control(at.node, def, at.name) : null;
}

/** The document with another control of a form's seed. */
export function withSeedControl(doc: Doc, found: PlacedField, env: EditContext, next: Control): Doc {
  const { place } = found;
  const changed = (path: readonly string[], id: string, change: (node: GraphNode) => GraphNode) =>
    changeLevel(doc, path, (level) => mapNode(level, id, change));
  const own = ownControl(found, env);
  if (typeof own?.value === "string")
    return changed(place.path, place.node, (node) => setWidget(node, own.key, next, env));
  const companion = groupCompanion(found, env);
  if (companion) {
    return changed(place.path, place.node, (node) =>
      Array.isArray(node.widgets_values)
        ? { ...node, widgets_values: node.widgets_values.with(companion.index, next) }
        : node,
    );
  }
  const at = controller(found, env);
  if (!at) return doc;
  const def = env.catalogue.get(at.node.type);
  return changed(at.path, String(at.node.id), (node) =>
    def ? withControl(node, def, at.name, next) : withPrimitiveControl(node, next),
  );
}

/** The node whose setting decides how a seed changes after each run; null: it never changes by itself. */
function controller({ place, node }: PlacedField, { doc }: EditContext) {
  const definition = subgraphs(doc).get(node.type);
  if (!definition) return { node, path: place.path, name: place.key };
  const cut = place.key.indexOf("/");
  const source = sourceOf(doc, definition, place.key.slice(0, cut), place.key.slice(cut + 1));
  return source && { node: source.node, path: [source.level.id], name: source.name };
}

const OWN_CONTROL = "control_after_generate";

/** The entry of a subgraph's node that overrides the control of the inner node. */
function ownControl({ place, node }: PlacedField, { doc }: EditContext): { key: string; value: unknown } | null {
  if (!subgraphs(doc).has(node.type)) return null;
  const inner = place.key.slice(0, place.key.indexOf("/"));
  const index = promotedNames(node).findIndex(([id, name]) => id === inner && name === OWN_CONTROL);
  const values = node.widgets_values;
  return index < 0 || !Array.isArray(values) ? null : { key: `${inner}/${OWN_CONTROL}`, value: values[index] };
}

/** The entry after a group node's seed in its list of values; null: it has none. */
function groupCompanion({ place, node }: PlacedField, env: EditContext): { index: number; value: Control } | null {
  const plan = groupPlan(node.type, env);
  const field = plan && placedFields(node, plan).find((each) => `${each.inner}/${each.slot}` === place.key);
  const index = field?.companion;
  if (index === undefined || !Array.isArray(node.widgets_values)) return null;
  return { index, value: node.widgets_values[index] as Control };
}
