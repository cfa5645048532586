/** A workflow as an app: its form, and beside it what it makes. */

import { useEffect, useMemo } from "react";
import { placed } from "../document/app_fields";
import { useT } from "../i18n";
import { refreshForm, useForms } from "../state/app";
import { editContext, redoStep, undoStep, useEditor, useTab } from "../state/editor";
import { takePicturesWith } from "../state/picture_target";
import { show } from "../state/ui";
import { Announcer } from "../widgets/Announcer";
import { Icon, type IconName } from "../widgets/Icon";
import { RunButton } from "../widgets/RunButton";
import { AppForm } from "./AppForm";
import { AppResult } from "./AppResult";
import { Arrange } from "./Arrange";
import { placeInRun } from "./shown_fields";

const CALM = 250;

export default function AppView() {
  const t = useT();
  const tab = useTab((open) => open.id);
  const doc = useTab((open) => open.history.present);
  const name = useTab((open) => open.name);
  const file = useTab((open) => open.file);
  const canUndo = useTab((open) => open.history.past.length > 0);
  const canRedo = useTab((open) => open.history.future.length > 0);
  const catalogue = useEditor((state) => state.catalogue);
  const known = useForms((state) => state.forms[tab]);
  const refused = useForms((state) => state.refused[tab]);
  const arranging = useForms((state) => state.arranging);
  const ready = catalogue.size > 0;
  const env = useMemo(() => ({ doc, catalogue }), [doc, catalogue]);
  const first = known === undefined;
  useEffect(() => {
    if (!ready) return;
    const timer = setTimeout(() => void refreshForm(tab, doc), first ? 0 : CALM);
    return () => clearTimeout(timer);
  }, [tab, doc, ready, first]);
  const form = known?.form ?? null;
  const swept = form?.fields.map(placeInRun).find(Boolean) ?? null;
  useEffect(() => {
    takePicturesWith(() => {
      const place = form?.fields
        .filter(({ kind }) => kind === "picture")
        .map((field) => placed(field, editContext())?.place)
        .find((found) => found !== undefined);
      return place ? { id: place.node, key: place.key, path: place.path } : null;
    });
    return () => takePicturesWith(null);
  }, [form]);
  const tool = (icon: IconName, label: string, act: () => void, disabled = false, pressed?: boolean) => (
    <button
      type="button"
      className="icon-button"
      title={label}
      aria-label={label}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={act}
    >
      <Icon name={icon} />
    </button>
  );
  return (
    <div className="app-view">
      <section className="app-form" aria-label={t("appView.fields")}>
        <header>
          <h2>{name}</h2>
          {tool("undo", `${t("app.undo")} (Ctrl+Z)`, undoStep, !canUndo)}
          {tool("redo", `${t("app.redo")} (Ctrl+Shift+Z)`, redoStep, !canRedo)}
          {tool("grid", t("menu.sweep"), () => show({ sweep: swept }), !swept)}
          {tool(
            arranging ? "check" : "pencil",
            arranging ? t("appView.done") : t("appView.arrange"),
            () => useForms.setState({ arranging: !arranging }),
            !form,
            arranging,
          )}
          {file !== null && !document.body.dataset.app && (
            <a
              className="icon-button"
              href={`app/${file
                .replace(/(\.app)?\.json$/i, "")
                .split("/")
                .map(encodeURIComponent)
                .join("/")}`}
              target="_blank"
              rel="noreferrer"
              title={t("appView.page")}
              aria-label={t("appView.page")}
            >
              <Icon name="toInput" />
            </a>
          )}
        </header>
        <div className="app-fields">
          {refused !== undefined && (
            <p className="app-problem" role="alert">
              {refused}
            </p>
          )}
          {form === null && refused === undefined && <p className="hint">{t("appView.loading")}</p>}
          {form !== null &&
            ready &&
            (arranging ? <Arrange form={form} env={env} /> : <AppForm form={form} env={env} />)}
        </div>
        <footer className="app-run">
          <RunButton />
        </footer>
      </section>
      <AppResult form={form} />
      <Announcer />
    </div>
  );
}
