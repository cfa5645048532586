/** Tabs, files, and the Run button. */

import { useEffect, useRef } from "react";
import { emptyDocument } from "../document/document";
import { type Key, useT } from "../i18n";
import { isChanged, openTab, showTab, toggleApp, useEditor, useTab } from "../state/editor";
import { openFile } from "../state/files";
import { closeAsking, save } from "../state/library";
import { seen, useRuns, type Verdict } from "../state/runs";
import { Icon } from "../widgets/Icon";
import { RunButton } from "../widgets/RunButton";

const VERDICTS: Record<Verdict, Key> = {
  running: "app.running",
  done: "run.done",
  failed: "node.failed",
  stopped: "queue.stopped",
};

export function TopBar() {
  const t = useT();
  const tabs = useEditor((state) => state.tabs);
  const active = useEditor((state) => state.active);
  const app = useTab((tab) => tab.app);
  const verdicts = useRuns((state) => state.verdicts);
  const picker = useRef<HTMLInputElement>(null);
  useEffect(() => seen(active), [active, verdicts]);
  return (
    <header className="top-bar">
      <span className="brand" aria-label="Sumi">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <path d="M16 3.5c4.6 5.6 8.6 9.9 8.6 15.2a8.6 8.6 0 0 1-17.2 0C7.4 13.4 11.4 9.1 16 3.5z" />
        </svg>
        Sumi
      </span>
      <nav className="tabs" aria-label={t("app.workflows")}>
        {/* The close buttons are outside the tab list, which may contain only tabs. */}
        <span role="tablist" aria-label={t("app.workflows")} aria-owns={tabs.map((tab) => `tab-${tab.id}`).join(" ")} />
        {tabs.map((tab) => (
          <div
            key={tab.id}
            className="tab"
            data-active={tab.id === active || undefined}
            onAuxClick={(event) => event.button === 1 && void closeAsking(tab)}
          >
            <button
              type="button"
              role="tab"
              id={`tab-${tab.id}`}
              aria-selected={tab.id === active}
              onClick={() => showTab(tab.id)}
              title={isChanged(tab) ? `${tab.name} · ${t("app.unsaved")}` : tab.name}
            >
              {verdicts[tab.id] && (
                <i
                  className="verdict"
                  data-verdict={verdicts[tab.id]}
                  role="img"
                  aria-label={t(VERDICTS[verdicts[tab.id] as Verdict])}
                  title={t(VERDICTS[verdicts[tab.id] as Verdict])}
                />
              )}
              {tab.name}
            </button>
            {isChanged(tab) && <i className="changed" title={t("app.unsaved")} />}
            <button
              type="button"
              className="tab-close"
              aria-label={`${t("app.closeTab")} ${tab.name}`}
              onClick={() => void closeAsking(tab)}
            >
              <Icon name="close" />
            </button>
          </div>
        ))}
        <button
          type="button"
          className="icon-button"
          title={t("app.newTab")}
          aria-label={t("app.newTab")}
          onClick={() => openTab(t("app.untitled"), emptyDocument())}
        >
          <Icon name="add" />
        </button>
      </nav>
      <div className="top-tools">
        <button
          type="button"
          className="button small view-toggle"
          title={`${app ? t("appView.toGraph") : t("appView.toApp")} (A)`}
          aria-label={app ? t("appView.toGraph") : t("appView.toApp")}
          onClick={toggleApp}
        >
          <Icon name={app ? "workflow" : "image"} />
          <span>{app ? t("app.graph") : t("app.app")}</span>
        </button>
        <button
          type="button"
          className="icon-button"
          title={`${t("app.open")} (Ctrl+O)`}
          aria-label={t("app.open")}
          onClick={() => picker.current?.click()}
        >
          <Icon name="folder" />
        </button>
        <button
          type="button"
          className="icon-button"
          title={`${t("app.save")} (Ctrl+S)`}
          aria-label={t("app.save")}
          onClick={() => void save()}
        >
          <Icon name="save" />
        </button>
        <input
          ref={picker}
          id="open-file"
          type="file"
          accept=".json,.latent,.safetensors,image/png,image/webp,image/jpeg"
          hidden
          multiple
          onChange={(event) => {
            for (const file of event.target.files ?? []) void openFile(file);
            event.target.value = "";
          }}
        />
        {/* The app view has its own Run button, within reach of a thumb. */}
        {!app && <RunButton />}
      </div>
    </header>
  );
}
