import { dataPathCases } from '../support/data-path-cases.ts';

dataPathCases();
