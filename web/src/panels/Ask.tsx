/** A dialog with a question and its possible answers. */

import { useEffect, useId, useState } from "react";
import { useT } from "../i18n";
import { type Question, useQuestions } from "../state/dialogs";
import { Dialog } from "./Dialog";

export function Ask() {
  const asked = useQuestions((state) => state.asked[0]);
  return asked ? <One key={asked.id} question={asked.question} answer={asked.answer} /> : null;
}

function One({
  question,
  answer,
}: {
  question: Question;
  answer(given: { choice: string; value: string } | null): void;
}) {
  const t = useT();
  const list = useId();
  const [value, setValue] = useState(question.field?.value ?? "");
  const [touched, setTouched] = useState(false);
  const [suggestions, setSuggestions] = useState<string[]>([]);
  useEffect(() => {
    let wanted = true;
    void question.field?.suggestions?.then((known) => wanted && setSuggestions(known));
    return () => {
      wanted = false;
    };
  }, [question]);
  const wrong = question.field?.check?.(value) ?? null;
  const main = question.choices.find((choice) => choice.kind === "primary") ?? question.choices[0];
  // Pressing Enter without reading must not lose anything.
  const safe = main?.kind === "danger" ? null : main;
  const take = (choice: string) => {
    if (wrong !== null && choice === main?.id) return setTouched(true);
    answer({ choice, value });
  };
  return (
    <Dialog title={question.title} onClose={() => answer(null)} narrow>
      <form
        className="ask"
        onSubmit={(event) => {
          event.preventDefault();
          if (main) take(main.id);
        }}
      >
        {question.text && <p>{question.text}</p>}
        {question.field && (
          <label className="ask-field">
            <span>{question.field.label}</span>
            <input
              type="text"
              autoFocus
              spellCheck={false}
              autoComplete="off"
              list={suggestions.length ? list : undefined}
              value={value}
              aria-invalid={touched && wrong !== null}
              onFocus={(event) => event.target.select()}
              onChange={(event) => {
                setTouched(true);
                setValue(event.target.value);
              }}
            />
            {suggestions.length > 0 && (
              <datalist id={list}>
                {suggestions.map((entry) => (
                  <option key={entry} value={entry} />
                ))}
              </datalist>
            )}
            <small role="status">{touched ? wrong : ""}</small>
          </label>
        )}
        <div className="ask-choices">
          <button type="button" className="button" data-first-focus={!safe || undefined} onClick={() => answer(null)}>
            {t("app.cancel")}
          </button>
          {question.choices.map((choice) => (
            <button
              key={choice.id}
              type={choice === main ? "submit" : "button"}
              className={`button ${choice.kind ?? ""}`}
              data-first-focus={choice === safe || undefined}
              onClick={choice === main ? undefined : () => take(choice.id)}
            >
              {choice.label}
            </button>
          ))}
        </div>
      </form>
    </Dialog>
  );
}
