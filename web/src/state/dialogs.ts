/** Dialogs that wait for an answer; one is shown at a time. */

import { create } from "zustand";

export interface Choice {
  id: string;
  label: string;
  kind?: "primary" | "danger";
}

export interface Question {
  title: string;
  text?: string;
  field?: {
    label: string;
    value: string;
    /** They appear when they are known; the question does not wait for them. */
    suggestions?: Promise<string[]>;
    /** Describes what is wrong with a value; null: nothing. */
    check?(value: string): string | null;
  };
  choices: Choice[];
}

export interface Answer {
  choice: string;
  value: string;
}

interface Asked {
  id: number;
  question: Question;
  answer(given: Answer | null): void;
}

export const useQuestions = create<{ asked: Asked[] }>(() => ({ asked: [] }));

let last = 0;

/** null: the dialog was dismissed. */
export function ask(question: Question): Promise<Answer | null> {
  return new Promise((resolve) => {
    const asked: Asked = {
      id: ++last,
      question,
      answer(given) {
        useQuestions.setState((state) => ({ asked: state.asked.filter((entry) => entry !== asked) }));
        resolve(given);
      },
    };
    useQuestions.setState((state) => ({ asked: [...state.asked, asked] }));
  });
}

export async function confirmed(title: string, text: string | undefined, choice: Choice): Promise<boolean> {
  return (await ask({ title, ...(text ? { text } : {}), choices: [choice] })) !== null;
}
