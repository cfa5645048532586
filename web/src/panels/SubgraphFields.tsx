/** Chooses which fields inside a subgraph its node shows. */

import { nodesById, subgraphs } from "../document/document";
import { isLifted, liftable } from "../document/lifting";
import { useT } from "../i18n";
import { editContext, levelOf, useTab } from "../state/editor";
import { toggleLifted } from "../state/subgraph_commands";
import { show, useUi } from "../state/ui";
import { Dialog } from "./Dialog";

export default function SubgraphFields() {
  const t = useT();
  const id = useUi((state) => state.fields);
  const doc = useTab((tab) => tab.history.present);
  const holder = useTab((tab) => (id === null ? undefined : nodesById(levelOf(tab)).get(id)));
  const definition = holder && subgraphs(doc).get(holder.type);
  const close = () => show({ fields: null });
  if (!holder || !definition) return null;
  const around = editContext();
  const fields = liftable(definition, around);
  const titles = [...new Map(fields.map(({ node }) => [String(node.id), node])).values()];
  return (
    <Dialog title={t("subgraph.fields")} onClose={close} narrow>
      <div className="fields">
        {!fields.length && <p className="hint">{t("subgraph.noFields")}</p>}
        {titles.map((node) => (
          <fieldset key={String(node.id)}>
            <legend>
              {node.title || around.catalogue.get(node.type)?.title || subgraphs(doc).get(node.type)?.name || node.type}
            </legend>
            {fields
              .filter((field) => field.node === node)
              .map(({ name, input }) => (
                <label key={name} className="setting">
                  <span>{input.label ?? input.name}</span>
                  <input
                    type="checkbox"
                    role="switch"
                    className="switch"
                    checked={isLifted(holder, String(node.id), name)}
                    onChange={(event) => toggleLifted(definition.id, String(node.id), name, event.target.checked)}
                  />
                </label>
              ))}
          </fieldset>
        ))}
      </div>
    </Dialog>
  );
}
